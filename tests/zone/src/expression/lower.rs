//! From the Rules language of today to that of the engine.

use super::field::{self, Field, List, Map};
use super::operand::{Kind, Operand, Values};
use super::{Expression, operand_name, scheme, text, why};

/// What is wrong, and where: the text from there on.
pub(super) struct Fault<'s> {
    pub(super) rest: &'s str,
    pub(super) message: String,
}

type Read<'s, T> = Result<T, Fault<'s>>;

/// The lowered text, and its operands by their numbers. `sees_answer`: whether it is evaluated once there is an answer.
pub(super) fn lower(source: &str, sees_answer: bool) -> Read<'_, (String, Vec<Operand>)> {
    let mut reader = Reader { rest: source, operands: Vec::new(), elements: None, sees_answer };
    let lowered = reader.expression()?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return reader.fault(format!("`{}` is not understood", reader.rest));
    }
    if reader.elements.is_some() {
        return Err(Fault { rest: source, message: "[*] stands outside of any() and all()".to_owned() });
    }
    Ok((lowered, reader.operands))
}

struct Reader<'s> {
    rest: &'s str,
    operands: Vec<Operand>,
    /// Whose elements `[*]` has asked for.
    elements: Option<Values>,
    /// Whether fields of the answer have values.
    sees_answer: bool,
}

impl<'s> Reader<'s> {
    fn fault<T>(&self, message: impl Into<String>) -> Read<'s, T> {
        Err(Fault { rest: self.rest, message: message.into() })
    }

    fn expression(&mut self) -> Read<'s, String> {
        let mut lowered = self.term()?;
        while let Some(operator) = self.logical() {
            lowered = format!("{lowered} {operator} {}", self.term()?);
        }
        Ok(lowered)
    }

    fn logical(&mut self) -> Option<&'static str> {
        let operators = [("and", "&&"), ("or", "||"), ("xor", "^^")];
        let found = operators.into_iter().find(|(word, sign)| self.take_word(word) || self.take(sign));
        found.map(|(operator, _)| operator)
    }

    fn term(&mut self) -> Read<'s, String> {
        if self.take_word("not") || self.take("!") {
            return Ok(format!("not {}", self.term()?));
        }
        if self.take("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(format!("({inner})"));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Read<'s, String> {
        self.skip_space();
        let start = self.rest;
        for (function, beginning, end) in [("starts_with", "^", ""), ("ends_with", "", "$")] {
            if self.rest.strip_prefix(function).is_some_and(|rest| rest.trim_start().starts_with('(')) {
                self.rest = &self.rest[function.len()..];
                self.expect("(")?;
                let operand = self.operand()?;
                self.expect(",")?;
                let pattern = format!("{beginning}{}{end}", text::quoted(&self.string()?));
                self.expect(")")?;
                return self.compared(operand, &format!("matches {}", text::regex(&pattern)), start);
            }
        }
        let operand = self.operand()?;
        let kind = operand.kind();
        if kind == Kind::Bool {
            let negated = self.compared_with_false();
            let lowered = self.name(operand);
            return Ok(if negated { format!("(not {lowered})") } else { lowered });
        }
        let comparison = self.operator_and_value(kind)?;
        self.compared(operand, &comparison, start)
    }

    fn compared_with_false(&mut self) -> bool {
        let all = ["eq true", "== true", "eq false", "== false"];
        all.into_iter()
            .find(|written| self.take_word(written))
            .is_some_and(|written| written.ends_with("false"))
    }

    /// With what holds only where the value is there.
    fn compared(&mut self, operand: Operand, comparison: &str, start: &'s str) -> Read<'s, String> {
        let is_there = match &operand {
            Operand::Nth(values, n) => Some(Operand::IsThere(values.clone(), *n)),
            _ => None,
        };
        let compared = format!("{} {comparison}", self.name(operand));
        // Alone, so that what the engine does not take is told with its place.
        if let Err(error) = scheme(&self.operands).parse(&compared) {
            return Err(Fault { rest: start, message: why(&error) });
        }
        Ok(match is_there {
            Some(is_there) => format!("({} and {compared})", self.name(is_there)),
            None => compared,
        })
    }

    fn operator_and_value(&mut self, kind: Kind) -> Read<'s, String> {
        if self.take_word("in") {
            return Ok(format!("in {}", self.set(kind)?));
        }
        if self.take_word("strict wildcard") {
            return Ok(format!("matches {}", text::regex(&text::wildcard(&self.string()?))));
        }
        if self.take_word("wildcard") {
            let pattern = format!("(?i){}", text::wildcard(&self.string()?));
            return Ok(format!("matches {}", text::regex(&pattern)));
        }
        if self.take_word("matches") || self.take("~") {
            return Ok(format!("matches {}", text::regex(&self.pattern()?)));
        }
        if self.take_word("contains") {
            return Ok(format!("contains {}", text::string(&self.string()?)));
        }
        let operators = [
            ("eq", "eq"),
            ("ne", "ne"),
            ("le", "le"),
            ("ge", "ge"),
            ("lt", "lt"),
            ("gt", "gt"),
            ("==", "eq"),
            ("!=", "ne"),
            ("<=", "le"),
            (">=", "ge"),
            ("<", "lt"),
            (">", "gt"),
        ];
        let found = operators.into_iter().find(|(written, _)| {
            if written.starts_with(char::is_alphabetic) {
                self.take_word(written)
            } else {
                self.take(written)
            }
        });
        let Some((_, operator)) = found else {
            return self.fault(format!("an operator is missing before `{}`", self.rest));
        };
        let value = if kind == Kind::Text { text::string(&self.string()?) } else { self.bare()?.to_owned() };
        Ok(format!("{operator} {value}"))
    }

    fn set(&mut self, kind: Kind) -> Read<'s, String> {
        self.skip_space();
        if self.rest.starts_with('$') {
            let start = self.rest;
            return Err(Fault {
                rest: start,
                message: format!("lists are not simulated: `{}`", self.bare()?),
            });
        }
        self.expect("{")?;
        let mut items = Vec::new();
        while !self.take("}") {
            items.push(if kind == Kind::Text {
                text::string(&self.string()?)
            } else {
                self.bare()?.to_owned()
            });
            self.take(",");
        }
        Ok(format!("{{{}}}", items.join(" ")))
    }

    fn operand(&mut self) -> Read<'s, Operand> {
        self.skip_space();
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let (name, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        if name.is_empty() {
            return self.fault(format!("a field is missing before `{}`", self.rest));
        }
        let start = std::mem::replace(&mut self.rest, rest);
        if self.take("(") {
            return self.call(name, start);
        }
        self.check_seen(name, start)?;
        if let Some(map) = Map::named(name) {
            self.expect("[")?;
            let key = self.string()?;
            self.expect("]")?;
            return self.indexed(Values::Of(map, key.to_ascii_lowercase()));
        }
        if let Some(list) = List::named(name) {
            return self.indexed(Values::All(list));
        }
        let message = || format!("the field `{name}` is not simulated");
        Field::named(name).map(Operand::Field).ok_or_else(|| Fault { rest: start, message: message() })
    }

    /// Refuses a field of the answer where there is none yet.
    fn check_seen(&self, field: &str, start: &'s str) -> Read<'s, ()> {
        if self.sees_answer || !field.starts_with(field::OF_ANSWER) {
            return Ok(());
        }
        let message = format!(
            "the field `{field}` has no value before the answer; it belongs into the counting expression of a rate limit"
        );
        Err(Fault { rest: start, message })
    }

    fn call(&mut self, function: &str, start: &'s str) -> Read<'s, Operand> {
        let operand = match function {
            "lower" => Operand::Lower(Box::new(self.argument()?)),
            "upper" => Operand::Upper(Box::new(self.argument()?)),
            "url_decode" => Operand::UrlDecoded(Box::new(self.argument()?)),
            "len" => match self.values()? {
                Some(values) => Operand::Count(values),
                None => Operand::Length(Box::new(self.argument()?)),
            },
            "any" | "all" => return self.quantified(function, start),
            _ => {
                let message = format!("the function `{function}` is not simulated");
                return Err(Fault { rest: start, message });
            }
        };
        self.expect(")")?;
        // `lower(http.request.headers["x"][*])[*]`: still the same element.
        self.take("[*]");
        Ok(operand)
    }

    fn argument(&mut self) -> Read<'s, Operand> {
        let start = self.rest;
        let operand = self.operand()?;
        match operand.kind() {
            Kind::Text => Ok(operand),
            _ => Err(Fault {
                rest: start,
                message: "a function of text has an argument that is none".to_owned(),
            }),
        }
    }

    /// Values without an index, if that is what comes.
    fn values(&mut self) -> Read<'s, Option<Values>> {
        let before = self.rest;
        let written = self.rest.find(['[', ')']).map_or("", |at| self.rest[..at].trim());
        let Some(map) = Map::named(written) else { return Ok(None) };
        self.skip_space();
        self.check_seen(written, self.rest)?;
        self.rest = &self.rest[written.len()..];
        self.expect("[")?;
        let key = self.string()?;
        self.expect("]")?;
        self.skip_space();
        if self.rest.starts_with('[') {
            self.rest = before;
            return Ok(None);
        }
        Ok(Some(Values::Of(map, key.to_ascii_lowercase())))
    }

    fn indexed(&mut self, values: Values) -> Read<'s, Operand> {
        self.expect("[")?;
        if self.take("*") {
            self.expect("]")?;
            if self.elements.as_ref().is_some_and(|others| *others != values) {
                return self.fault("any() and all() go over one field only");
            }
            self.elements = Some(values);
            return Ok(Operand::Element);
        }
        let length = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let Ok(n) = self.rest[..length].parse() else { return self.fault("an index is missing") };
        self.rest = &self.rest[length..];
        self.expect("]")?;
        Ok(Operand::Nth(values, n))
    }

    fn quantified(&mut self, function: &str, start: &'s str) -> Read<'s, Operand> {
        let mut inner = Reader { rest: self.rest, operands: Vec::new(), elements: None, ..*self };
        let lowered = inner.expression()?;
        self.rest = inner.rest;
        self.expect(")")?;
        let Some(values) = inner.elements else {
            return Err(Fault { rest: start, message: format!("{function}() has no [*]") });
        };
        let expression = Expression { source: lowered.clone(), lowered, operands: inner.operands };
        Ok(if function == "any" {
            Operand::Any(values, expression)
        } else {
            Operand::All(values, expression)
        })
    }

    /// The operand's name, the same for equal ones.
    fn name(&mut self, operand: Operand) -> String {
        let n = self.operands.iter().position(|other| *other == operand).unwrap_or_else(|| {
            self.operands.push(operand);
            self.operands.len() - 1
        });
        operand_name(n)
    }

    fn string(&mut self) -> Read<'s, String> {
        self.text(text::read)
    }

    fn pattern(&mut self) -> Read<'s, String> {
        self.text(text::read_pattern)
    }

    fn text(&mut self, read: fn(&'s str) -> text::Read<'s>) -> Read<'s, String> {
        self.skip_space();
        let Some((text, rest)) = read(self.rest)? else {
            return self.fault(format!("a string is missing before `{}`", self.rest));
        };
        self.rest = rest;
        Ok(text)
    }

    /// A number, an address or a network.
    fn bare(&mut self) -> Read<'s, &'s str> {
        self.skip_space();
        let length =
            self.rest.find(|c: char| c.is_whitespace() || "(){},\"".contains(c)).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(length);
        if value.is_empty() {
            return self.fault(format!("a value is missing before `{}`", self.rest));
        }
        self.rest = rest;
        Ok(value)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, written: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(written);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Where no letter follows.
    fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(word) {
            Some(rest) if !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.') => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, written: &str) -> Read<'s, ()> {
        if self.take(written) {
            Ok(())
        } else {
            self.fault(format!("`{written}` is missing before `{}`", self.rest))
        }
    }
}
