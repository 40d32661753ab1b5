//! Words to a tree. From the loosest to the tightest: `or`, `xor`, `and`, `not`, a comparison.
//!
//! <https://developers.cloudflare.com/ruleset-engine/rules-language/operators/#order-of-precedence>

use regex::RegexBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::lexer::{ExpressionError, Placed, Word, error, words};
use super::tree::{Comparison, Index, Item, Literal, Node, Pattern};

/// Brackets within brackets; a rule has 4,096 characters.
const MAX_DEPTH: usize = 200;
/// A pattern takes no more memory than this, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A comparison with a value, in words and in signs.
type Ordered = ([&'static str; 2], fn(Literal) -> Comparison);

const ORDERED: [Ordered; 6] = [
    (["eq", "=="], Comparison::Equal),
    (["ne", "!="], Comparison::NotEqual),
    (["le", "<="], Comparison::LessOrEqual),
    (["ge", ">="], Comparison::GreaterOrEqual),
    (["lt", "<"], Comparison::Less),
    (["gt", ">"], Comparison::Greater),
];

pub(super) fn parse(text: &str) -> Result<Node, ExpressionError> {
    let mut parser = Parser { text, words: words(text)?, at: 0, depth: 0 };
    let node = parser.any_of()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.fail("an operator, or the end, is missing before it")),
    }
}

struct Parser<'a> {
    text: &'a str,
    words: Vec<Placed>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, ExpressionError>;

impl Parser<'_> {
    fn any_of(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail("too many brackets within brackets"));
        }
        let node = self.row(["or", "||"], Self::one_of, Node::Or);
        self.depth -= 1;
        node
    }

    fn one_of(&mut self) -> Parsed<Node> {
        self.row(["xor", "^^"], Self::all_of, Node::Xor)
    }

    fn all_of(&mut self) -> Parsed<Node> {
        self.row(["and", "&&"], Self::negation, Node::And)
    }

    fn row(
        &mut self,
        operator: [&str; 2],
        part: fn(&mut Self) -> Parsed<Node>,
        whole: fn(Vec<Node>) -> Node,
    ) -> Parsed<Node> {
        let mut parts = vec![part(self)?];
        while operator.into_iter().any(|operator| self.take(operator)) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { whole(parts) })
    }

    fn negation(&mut self) -> Parsed<Node> {
        let mut negations = 0;
        while self.take("not") || self.take("!") {
            negations += 1;
        }
        let node = self.comparison()?;
        Ok(if negations % 2 == 1 { Node::Not(Box::new(node)) } else { node })
    }

    fn comparison(&mut self) -> Parsed<Node> {
        let left = self.operand()?;
        Ok(match self.operator()? {
            Some(comparison) => Node::Compare(Box::new(left), comparison),
            None => left,
        })
    }

    fn operand(&mut self) -> Parsed<Node> {
        if self.take("(") {
            let node = self.any_of()?;
            self.expect(")")?;
            return Ok(node);
        }
        let (_, word) = self.next()?;
        let mut node = match word {
            Word::Text(text) => Node::Literal(Literal::Text(text)),
            Word::Name(name) if self.take("(") => Node::Call(name, self.arguments()?),
            Word::Name(name) => match literal(&name) {
                Some(literal) => Node::Literal(literal),
                None => Node::Field(name),
            },
            Word::Sign(_) => return Err(self.fail_before("a field, a function or a bracket is missing")),
        };
        while self.take("[") {
            let index = match self.next()? {
                (_, Word::Sign("*")) => Index::Each,
                (_, Word::Text(name)) => Index::Named(name),
                (_, Word::Name(number)) => match number.parse() {
                    Ok(number) => Index::At(number),
                    Err(_) => return Err(self.fail_before("an index is a number, a text or *")),
                },
                (_, Word::Sign(_)) => return Err(self.fail_before("an index is a number, a text or *")),
            };
            self.expect("]")?;
            node = Node::Index(Box::new(node), index);
        }
        Ok(node)
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.any_of()?);
        }
        Ok(arguments)
    }

    fn operator(&mut self) -> Parsed<Option<Comparison>> {
        for (names, comparison) in ORDERED {
            if names.into_iter().any(|name| self.take(name)) {
                return Ok(Some(comparison(self.literal()?)));
            }
        }
        Ok(Some(if self.take("contains") {
            Comparison::Contains(self.quoted()?)
        } else if self.take("matches") || self.take("~") {
            let shown = self.quoted()?;
            Comparison::Matches(self.pattern(&shown.clone(), shown, false)?)
        } else if self.take("strict") {
            self.expect("wildcard")?;
            let shown = self.quoted()?;
            Comparison::Wildcard(self.pattern(&wildcard(&shown), shown, false)?)
        } else if self.take("wildcard") {
            let shown = self.quoted()?;
            Comparison::Wildcard(self.pattern(&wildcard(&shown), shown, true)?)
        } else if self.take("bitwise_and") || self.take("&") {
            match self.literal()? {
                Literal::Number(number) => Comparison::BitwiseAnd(number),
                _ => return Err(self.fail_before("a number is missing")),
            }
        } else if self.take("in") {
            self.set()?
        } else {
            return Ok(None);
        }))
    }

    fn set(&mut self) -> Parsed<Comparison> {
        if self.take("$") {
            self.next()?;
            return Ok(Comparison::InList);
        }
        self.expect("{")?;
        let mut items = Vec::new();
        while !self.take("}") {
            let item = if self.is_network() {
                self.next()?;
                Item::Addresses
            } else {
                Item::One(self.literal()?)
            };
            let item = if self.take("..") {
                match (item, self.literal()?) {
                    (Item::One(Literal::Number(from)), Literal::Number(to)) => Item::Numbers(from, to),
                    _ => Item::Addresses,
                }
            } else {
                item
            };
            items.push(item);
            self.take(",");
        }
        Ok(Comparison::In(items))
    }

    /// An address, a slash, and a number.
    fn is_network(&self) -> bool {
        matches!(self.peek(), Some(Word::Name(name)) if name.split_once('/').is_some_and(|(address, bits)| {
            address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok()
        }))
    }

    fn literal(&mut self) -> Parsed<Literal> {
        match self.next()?.1 {
            Word::Text(text) => Ok(Literal::Text(text)),
            Word::Name(name) => {
                literal(&name).ok_or_else(|| self.fail_before("a value is missing; texts stand in quotes"))
            }
            Word::Sign(_) => Err(self.fail_before("a value is missing")),
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        match self.next()?.1 {
            Word::Text(text) => Ok(text),
            Word::Name(_) | Word::Sign(_) => Err(self.fail_before("a text in quotes is missing")),
        }
    }

    fn pattern(&self, pattern: &str, shown: String, ignore_case: bool) -> Parsed<Pattern> {
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(|_| self.fail_before("a pattern that cannot be read"))?;
        Ok(Pattern { regex, shown, only: only_text(pattern) })
    }

    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at).map(|(_, word)| word)
    }

    fn next(&mut self) -> Parsed<Placed> {
        let next = self.words.get(self.at).cloned().ok_or_else(|| self.fail("it ends too early"))?;
        self.at += 1;
        Ok(next)
    }

    /// Goes on where the next word is this sign, or this name.
    fn take(&mut self, word: &str) -> bool {
        let is_next = match self.peek() {
            Some(Word::Sign(sign)) => *sign == word,
            Some(Word::Name(name)) => name == word,
            Some(Word::Text(_)) | None => false,
        };
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.take(word) { Ok(()) } else { Err(self.fail(format!("`{word}` is missing"))) }
    }

    fn fail(&self, problem: impl Into<String>) -> ExpressionError {
        let at = self.words.get(self.at).map_or(self.text.len(), |(at, _)| *at);
        error(self.text, at, problem)
    }

    /// At the word that was taken last.
    fn fail_before(&self, problem: &str) -> ExpressionError {
        let last = self.words.get(self.at.saturating_sub(1));
        error(self.text, last.map_or(0, |(at, _)| *at), problem)
    }
}

fn literal(name: &str) -> Option<Literal> {
    match name {
        "true" => Some(Literal::Bool(true)),
        "false" => Some(Literal::Bool(false)),
        _ => {
            let number = name.parse().ok().map(Literal::Number);
            number.or_else(|| name.parse().ok().map(Literal::Address))
        }
    }
}

/// What a pattern of a beginning, plain letters and an end fits.
fn only_text(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    let HirKind::Concat(parts) = parsed.kind() else { return None };
    match parts.iter().map(Hir::kind).collect::<Vec<_>>()[..] {
        [HirKind::Look(Look::Start), HirKind::Literal(literal), HirKind::Look(Look::End)] => {
            String::from_utf8(literal.0.to_vec()).ok()
        }
        _ => None,
    }
}

/// `*` is anything; a backslash takes that from it.
fn wildcard(pattern: &str) -> String {
    let mut regex = "(?s)^".to_owned();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' => regex.push_str(".*"),
            '\\' => {
                let next = chars.next_if(|next| matches!(next, '*' | '\\')).unwrap_or('\\');
                regex.push_str(&regex::escape(&next.to_string()));
            }
            char => regex.push_str(&regex::escape(&char.to_string())),
        }
    }
    regex + "$"
}
