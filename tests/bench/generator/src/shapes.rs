//! Requests of other shapes, each made of realistic spans: what readers may take for granted of most spans is not so of these.

use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::{InstrumentationScope, KeyValue};
use spillway_proto::otlp::trace::v1::{ScopeSpans, Span};

use crate::payloads::{Generator, Named, SplitMix64, int, list, map, plain, text};

const LONG_AGENT: &str = "Mozilla/5.0 (Linux; Android 16; Pixel 9 Pro Build/BP2A.250605.031; wv) AppleWebKit/537.36 \
    (KHTML, like Gecko) Version/4.0 Chrome/142.0.7444.59 Mobile Safari/537.36";
const LONG_QUERY: &str = "SELECT o.id, o.status, o.created_at, c.name, c.email, sum(i.quantity * i.price) AS total FROM orders o \
    JOIN customers c ON c.id = o.customer_id JOIN items i ON i.order_id = o.id WHERE o.id = ? AND o.deleted_at IS NULL \
    GROUP BY o.id, o.status, o.created_at, c.name, c.email ORDER BY o.created_at DESC LIMIT 100";

/// Names and versions.
const INSTRUMENTATIONS: [(&str, &str); 3] = [
    ("io.opentelemetry.spring-webmvc-6.0", "2.21.0-alpha"),
    ("io.opentelemetry.jdbc", "2.21.0-alpha"),
    ("com.example.shop.orders", "1.4.2"),
];

impl Generator {
    /// So many realistic spans, the attributes of each in an order of its own.
    pub fn shuffled_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let mut request = self.request(spans);
        for span in spans_of(&mut request) {
            self.chance.shuffle(&mut span.attributes);
        }
        request
    }

    /// So many realistic spans of three kinds in no order, as a service has them that is called, calls a database and sends
    /// messages: each kind has attributes of its own, between some that all have.
    pub fn mixed_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let mut request = self.request(spans);
        for span in spans_of(&mut request) {
            let prefix = self.chance.one_of(&["", "db.", "messaging."]);
            for attribute in &mut span.attributes {
                let is_of_all =
                    ["server.", "thread.", "code."].iter().any(|all| attribute.key.starts_with(all));
                if !is_of_all {
                    attribute.key.insert_str(0, prefix);
                }
            }
        }
        request
    }

    /// So many realistic spans, two attributes of each with texts of more than 127 bytes: a browser's name, and a query.
    pub fn long_texts_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let mut request = self.request(spans);
        for span in spans_of(&mut request) {
            for attribute in &mut span.attributes {
                match attribute.key.as_str() {
                    "user_agent.original" => *attribute = text("user_agent.original", LONG_AGENT),
                    "http.route" => {
                        let query = LONG_QUERY.replace('?', &self.chance.below(10_000_000).to_string());
                        *attribute = text("db.query.text", query);
                    }
                    _ => {}
                }
            }
        }
        request
    }

    /// So many realistic spans, with lists and maps in each.
    pub fn nested_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let mut request = self.request(spans);
        for span in spans_of(&mut request) {
            span.attributes.extend(self.nested_attributes());
        }
        request
    }

    /// <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>
    fn nested_attributes(&mut self) -> [KeyValue; 4] {
        let order = self.chance.below(10_000_000);
        let message = |role, content: String| {
            let part = map(vec![text("type", "text"), text("content", content)]);
            map(vec![text("role", role), list(vec![part]).named("parts")])
        };
        let messages = vec![
            message("system", "You answer customers' questions about <orders>, briefly.".to_owned()),
            message("user", format!("Where is my order \"{order}\"?\nI have waited for a week.")),
        ];
        [
            list(messages).named("gen_ai.input.messages"),
            list(vec![plain("stop")]).named("gen_ai.response.finish_reasons"),
            list(vec![plain("text/html"), plain("application/json")]).named("http.request.header.accept"),
            map(vec![int("order", order), int("customer", self.chance.below(1_000_000))])
                .named("gen_ai.tool.call.arguments"),
        ]
    }

    /// So many realistic spans, each in a scope of its own, which is one of three instrumentations.
    pub fn scopes_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        self.request_of_scopes(spans, |chance| {
            let (name, version) = chance.one_of(&INSTRUMENTATIONS);
            Some(InstrumentationScope {
                name: name.to_owned(),
                version: version.to_owned(),
                ..InstrumentationScope::default()
            })
        })
    }

    /// So many realistic spans, each in a scope of its own, which is absent or has no name.
    pub fn unnamed_scopes_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        self.request_of_scopes(spans, |chance| (chance.below(2) == 0).then(InstrumentationScope::default))
    }

    fn request_of_scopes(
        &mut self,
        spans: usize,
        scope: fn(&mut SplitMix64) -> Option<InstrumentationScope>,
    ) -> ExportTraceServiceRequest {
        let mut request = self.request(spans);
        for of_resource in &mut request.resource_spans {
            let of_scopes = std::mem::take(&mut of_resource.scope_spans).into_iter();
            let spans = of_scopes.flat_map(|of_scope| of_scope.spans);
            of_resource.scope_spans = spans
                .map(|span| ScopeSpans {
                    scope: scope(&mut self.chance),
                    spans: vec![span],
                    ..ScopeSpans::default()
                })
                .collect();
        }
        request
    }

    /// So many realistic spans, each with a resource of its own.
    pub fn resources_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let resource_spans = (0..spans).flat_map(|_| self.request(1).resource_spans).collect();
        ExportTraceServiceRequest { resource_spans }
    }
}

fn spans_of(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    let of_scopes = request.resource_spans.iter_mut().flat_map(|of_resource| &mut of_resource.scope_spans);
    of_scopes.flat_map(|of_scope| &mut of_scope.spans)
}
