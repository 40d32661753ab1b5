#!/usr/bin/env bash
# hcl-rs 0.20.0 (crates.io) and hashicorp/hcl v2.25.0 (Go), the evaluator of Terraform, give one expression two values.
# hcl-rs keeps an object's order of writing in `for`, where Terraform sorts by key, so a list made from a map has another order.
# It does not convert between text, number and bool, and computes in f64 where Terraform has 512-bit floats. A large number in a
# template becomes 1e20 there. Firewall expressions that are built from variables can differ from those that get applied.
# Seen on 2026-11-30:
#   [for k, v in {b = 1, a = 2} : k] | hcl-rs ["b","a"] | hcl ["a","b"]
#   "n${100000000000000000000}" | hcl-rs "n1e20" | hcl "n100000000000000000000"
#   0.1 + 0.2 == 0.3 | hcl-rs false | hcl true
#   "5" + 1 | hcl-rs error | hcl 6
#   true ? 1 : "a" | hcl-rs 1 | hcl "1"
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

cat >expressions <<'HCL'
[for k, v in {b = 1, a = 2} : k]
"n${100000000000000000000}"
0.1 + 0.2 == 0.3
"5" + 1
true ? 1 : "a"
HCL

# Both programs print each value as JSON, one a line.
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
hcl-rs = "=0.20.0"
serde_json = "=1.0.154"
TOML
cat >src/main.rs <<'RUST'
use hcl::eval::{Context, Evaluate};

fn main() {
    for line in include_str!("../expressions").lines() {
        let expression: hcl::Expression = line.parse().expect("an expression of HCL");
        match expression.evaluate(&Context::new()) {
            Ok(value) => println!("{}", serde_json::to_string(&value).expect("values are JSON")),
            Err(_) => println!("error"),
        }
    }
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo run --quiet >rust
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/json"
)

func main() {
	lines, _ := os.ReadFile("expressions")
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		expression, diagnostics := hclsyntax.ParseExpression([]byte(line), "expressions", hcl.InitialPos)
		if diagnostics.HasErrors() {
			panic(diagnostics)
		}
		value, diagnostics := expression.Value(&hcl.EvalContext{})
		if diagnostics.HasErrors() {
			fmt.Println("error")
			continue
		}
		text, _ := json.Marshal(value, value.Type())
		fmt.Println(string(text))
	}
}
GO
go mod init finding 2>setup
go get github.com/hashicorp/hcl/v2@v2.25.0 2>>setup || { cat setup >&2; exit 1; }
go mod tidy 2>>setup || { cat setup >&2; exit 1; }
go run . >go
seen=$(paste -d '|' expressions rust go | sed 's/|/ | hcl-rs /; s/|\([^|]*\)$/ | hcl \1/')
printf '%s\n' "$seen"

stated='[for k, v in {b = 1, a = 2} : k] | hcl-rs ["b","a"] | hcl ["a","b"]
"n${100000000000000000000}" | hcl-rs "n1e20" | hcl "n100000000000000000000"
0.1 + 0.2 == 0.3 | hcl-rs false | hcl true
"5" + 1 | hcl-rs error | hcl 6
true ? 1 : "a" | hcl-rs 1 | hcl "1"'
[[ $seen == "$stated" ]] || { echo 'changed: the values differ from those in the head'; exit 1; }
echo 'as stated'
