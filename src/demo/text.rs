//! Words the states are made of.

use super::dice::Dice;
use crate::domain::Timestamp;
use chrono::SecondsFormat;

pub(super) const TOPICS: [&str; 16] = [
    "checkout",
    "refund",
    "shipping",
    "returns",
    "invoice",
    "onboarding",
    "ticket",
    "search",
    "catalogue",
    "loyalty",
    "claims",
    "handover",
    "translation",
    "summary",
    "fraud",
    "warranty",
];
pub(super) const STEPS: [&str; 8] =
    ["answer", "classify", "summarize", "rerank", "route", "extract", "draft", "verify"];
pub(super) const DATASET_ENDINGS: [&str; 6] =
    ["golden", "regression", "edge-cases", "conversations", "multilingual", "sampled"];
pub(super) const MODELS: [&str; 5] = ["atlas-large", "atlas-small", "harbor-70b", "harbor-8b", "quill-2"];
pub(super) const SUITES: [&str; 5] = ["nightly", "release gate", "regression", "red team", "smoke"];
pub(super) const TAGS: [&str; 7] =
    ["pii-reviewed", "q3", "baseline", "needs-review", "customer", "synthetic", "frozen"];
pub(super) const LABELS: [&str; 7] =
    ["hallucination", "correct", "off-topic", "escalated", "duplicate", "tone", "unsafe"];
pub(super) const SCOPES: [&str; 5] =
    ["traces:read", "datasets:read", "evaluations:write", "prompts:read", "prompts:write"];
pub(super) const OPERATIONS: [&str; 6] =
    ["llm.chat", "retrieve", "tool.call", "rerank", "guardrail", "embed"];
pub(super) const ERRORS: [&str; 5] =
    ["rate_limited", "context_length_exceeded", "tool_timeout", "upstream_unavailable", "invalid_json"];
pub(super) const WEBHOOK_EVENTS: [&str; 5] =
    ["evaluation.failed", "trace.error", "dataset.updated", "prompt.updated", "benchmark.regressed"];

const SENTENCES: [&str; 18] = [
    "Answer from the given context only.",
    "If the order number is missing, ask for it once.",
    "The customer was charged twice and wants the second payment back.",
    "Keep the tone friendly and the answer short.",
    "Quote the paragraph of the policy that applies.",
    "Never promise a delivery date.",
    "The retrieved passages do not mention the product.",
    "Escalate to a person when the customer asks for one.",
    "Die Antwort soll in der Sprache der Frage sein.",
    "The tool returned an empty list although the order exists.",
    "List the steps as numbered points.",
    "Correct, but the second source is out of date.",
    "Réponse exacte, ton trop sec.",
    "The summary leaves out the refund.",
    "Check the warranty period before offering a replacement.",
    "Amounts are in euros unless the customer writes otherwise.",
    "回答は簡潔に。",
    "Refuse politely when asked about other customers.",
];

const QUESTIONS: [&str; 10] = [
    "Where is my parcel?",
    "Can I return shoes after 30 days?",
    "Why was I charged twice?",
    "Wie ändere ich meine Lieferadresse?",
    "Does the warranty cover water damage?",
    "Please cancel my subscription.",
    "¿Puedo pagar a plazos?",
    "The voucher code does not work.",
    "How do I export my invoices?",
    "Is the blue one in stock in size 42?",
];

/// `count` sentences.
pub(super) fn sentences(dice: &mut Dice, count: u64) -> String {
    let chosen: Vec<&str> = (0..count).map(|_| dice.pick(&SENTENCES)).collect();
    chosen.join(" ")
}

/// What a customer asks.
pub(super) fn question(dice: &mut Dice) -> &'static str {
    dice.pick(&QUESTIONS)
}

/// RFC 3339 to the second.
pub(super) fn seconds(at: Timestamp) -> String {
    at.to_utc().map_or_else(|| at.to_rfc3339(), |t| t.to_rfc3339_opts(SecondsFormat::Secs, true))
}
