//! The AsyncAPI 3.0 document: which subject carries which payload.

use serde_json::{Value, json};

use super::ask::Verb;
use super::{CONTRACT, Encoding, Named, subject};

/// The document. Operations are the engine's: it receives signals and questions, and sends events.
pub(super) fn asyncapi() -> Value {
    let mut document = signals_and_events();
    for (name, verb) in Verb::NAMES {
        let (question, answer) = (format!("ask-{name}"), format!("answer-{name}"));
        document["channels"][&question] = channel(&verb.subject("{tenant}"), &question);
        // Where an answer goes says who asks.
        document["channels"][&answer] = json!({ "address": null, "messages": channel("", &answer)["messages"] });
        let mut operation = operation("receive", &question);
        operation["reply"] = json!({ "channel": { "$ref": format!("#/channels/{answer}") } });
        document["operations"][&question] = operation;
        let messages = &mut document["components"]["messages"];
        messages[&question] = message(&question, "A question, as a request; JSON.");
        messages[&answer] =
            message(&answer, "The answer, or none and the headers Nats-Service-Error and Nats-Service-Error-Code.");
    }
    document
}

fn signals_and_events() -> Value {
    let signal = subject::SIGNAL;
    let batch = subject::log_batch("{partition}", "{tenant}", "{gateway}");
    let session = subject::session("{tenant}.{user}.{session}");
    let user = subject::user("{tenant}.{user}");
    let ready = subject::ready("{tenant}.{user}");
    let room = subject::room("{tenant}.{room}");
    let member = subject::member("{tenant}.{room}", "{user}");
    let partitioned = |of_0: String| format!("{}{{partition}}", of_0.trim_end_matches('0'));
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "presence",
            "version": CONTRACT,
            "description": "Heartbeats in, transitions out, on NATS JetStream. Within version 1 only additions: readers \
                ignore unknown fields, causes and kinds; the five states are closed. Names in subjects are tokens: bytes \
                other than A-Z a-z 0-9 - _ are written =XX (upper-case hexadecimal).",
        },
        "defaultContentType": Encoding::Json.content_type(),
        "channels": {
            "signal": channel(&format!("{signal}.{{tenant}}.{{user}}.{{session}}"), "signal"),
            "batch": channel(&batch, "batch"),
            "session": channel(&session, "session"),
            "user": channel(&user, "user"),
            "ready": channel(&ready, "ready"),
            "room": channel(&room, "room"),
            "member": channel(&member, "member"),
            "engine": channel(&partitioned(subject::engine(0)), "engine"),
            "rejected": channel(&partitioned(subject::rejected(0)), "rejected"),
        },
        "operations": {
            "receiveSignal": operation("receive", "signal"),
            "receiveBatch": operation("receive", "batch"),
            "sendSession": operation("send", "session"),
            "sendUser": operation("send", "user"),
            "sendReady": operation("send", "ready"),
            "sendRoom": operation("send", "room"),
            "sendMember": operation("send", "member"),
            "sendEngine": operation("send", "engine"),
            "sendRejected": operation("send", "rejected"),
        },
        "components": {
            "messages": {
                "signal": message("signal", "What a client says about one session; may be empty, JSON or MessagePack."),
                "batch": message("batch", "Signals that a gateway holds, of the users of one partition; JSON or MessagePack."),
                "session": event("session", "A session's transition, told once it is committed."),
                "user": event("user", "A user's transition, told once it is committed."),
                "ready": event("ready", "A change of what a user is ready for, told once it is committed; in no bucket."),
                "room": event("room", "How many are in a room; at most one in `rooms.every`."),
                "member": event("room-member", "A user came into a room, left it, or is there otherwise; told while they are few."),
                "engine": event("engine", "What an engine knows about itself."),
                "rejected": event("rejected", "A signal that was refused."),
            },
            "parameters": {
                "tenant": { "description": "The tenant, as a token." },
                "user": { "description": "The user within the tenant, as a token." },
                "session": { "description": "The session within the user, as a token: a tab, a device." },
                "room": { "description": "The room within the tenant, as a token." },
                "gateway": { "description": "The gateway within the tenant, as a token." },
                "partition": { "description": "The partition: FNV-1a (32 bits) over tenant and user token, modulo their number." },
            },
            "schemas": { "cloudEvents": cloud_events() },
        },
    })
}

fn channel(address: &str, message: &str) -> Value {
    let parameters = ["tenant", "user", "session", "room", "gateway", "partition"]
        .into_iter()
        .filter(|name| address.contains(&format!("{{{name}}}")))
        .map(|name| (name.to_owned(), json!({ "$ref": format!("#/components/parameters/{name}") })));
    json!({
        "address": address,
        "messages": { message: { "$ref": format!("#/components/messages/{message}") } },
        "parameters": parameters.collect::<serde_json::Map<_, _>>(),
    })
}

fn operation(action: &str, channel: &str) -> Value {
    json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") } })
}

fn message(name: &str, summary: &str) -> Value {
    json!({
        "name": name,
        "summary": summary,
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": { "$ref": format!("./{name}.schema.json") },
        },
    })
}

fn event(name: &str, summary: &str) -> Value {
    let mut event = message(name, summary);
    event["headers"] = json!({ "$ref": "#/components/schemas/cloudEvents" });
    event
}

/// The headers that [`messages`](super::event::messages) writes.
fn cloud_events() -> Value {
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 attributes in binary mode.",
        "properties": {
            "ce-specversion": { "const": "1.0" },
            "ce-id": { "type": "string", "description": "The event's `id`." },
            "ce-type": { "type": "string", "description": "`presence.<kind>.v1`." },
            "ce-source": { "type": "string", "description": "`/presence/<partition>`." },
            "ce-time": { "type": "string", "format": "date-time", "description": "The event's `at_ms`." },
            "ce-subject": { "type": "string", "description": "The subject's key, which is the bucket's where it is in one, or the partition." },
            "ce-datacontenttype": { "type": "string" },
            "Content-Type": { "type": "string" },
        },
    })
}
