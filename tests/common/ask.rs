//! Asking engines, as anybody can.

use std::time::Duration;

use async_nats::Message;
use presence_engine::nats::Nats;
use serde_json::Value;

use super::eventually;

/// No question of the tests waits for longer, and who is answered later asked a dead engine.
const LONGEST: Duration = Duration::from_secs(30);

/// An answer, or the code and the text of the error.
pub type Answer = Result<Value, (u16, String)>;

/// What a message answers.
pub fn read(answer: &Message) -> Answer {
    let header = |name: &str| Some(answer.headers.as_ref()?.get(name)?.as_str().to_owned());
    match (header("Nats-Service-Error-Code"), header("Nats-Service-Error")) {
        (Some(code), Some(why)) => Err((code.parse().expect("a code is a number"), why)),
        (None, None) => Ok(serde_json::from_slice(&answer.payload).expect("an answer is JSON")),
        odd => panic!("half an error: {odd:?}"),
    }
}

/// Asks the engines of a tenant.
pub async fn ask_of(nats: &Nats, tenant: &str, verb: &str, question: impl Into<Vec<u8>>) -> Answer {
    let question = question.into();
    let subject = format!("presence.v1.ask.{tenant}.{verb}");
    let request = async_nats::Request::new().payload(question.into()).timeout(Some(Duration::from_secs(40)));
    read(&nats.client.send_request(subject, request).await.expect("somebody answers"))
}

/// Asks the engines of `main`.
pub async fn ask(nats: &Nats, verb: &str, question: &Value) -> Answer {
    ask_of(nats, "main", verb, question.to_string()).await
}

/// Asks until the answer is as it should be; an error ends nothing, since engines may be on their way, nor does silence, which is that
/// of an engine that died with the question.
pub async fn until(nats: &Nats, verb: &str, question: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let subject = format!("presence.v1.ask.main.{verb}");
    eventually(&format!("{verb} {question} is answered so"), async || {
        let request = async_nats::Request::new().payload(question.to_string().into()).timeout(Some(LONGEST));
        let answer = nats.client.send_request(subject.clone(), request).await.ok()?;
        read(&answer).ok().filter(|answer| is_so(answer))
    })
    .await
}

/// The users that a list of an answer names.
pub fn names(answer: &Value, list: &str) -> Vec<String> {
    let users = answer[list].as_array().expect("it is a list").iter();
    users.map(|of| of["user"].as_str().expect("each names a user").to_owned()).collect()
}
