//! Asks an app's webhook whether an idle version may go. It is asked with `POST {app, namespace,
//! version}`, and lets the version go with status 200 and `{"idle": true}`. Any other answer, or
//! none, keeps the version, up to `max_alive`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::report::Life;
use crate::record::{AppRecord, VersionRecord};
use crate::{AppId, VersionId, Webhook};

/// How long a yes counts.
const YES_LASTS: Duration = Duration::from_secs(30);
/// How soon after another answer it is asked again.
const NO_LASTS: Duration = Duration::from_secs(30);
/// How long it is told that there was no answer, unless there is another.
const TOLD_FOR: Duration = Duration::from_secs(600);
/// An answer that is longer is none.
const MAX_ANSWER: u64 = 64 * 1024;

/// What webhooks answered.
#[derive(Default)]
pub(super) struct Webhooks {
    answers: HashMap<Question, (Instant, Answered)>,
    /// Asked, and without an answer yet.
    asking: HashSet<Question>,
}

/// Of which version, in which stay in its state: an answer about an earlier one is none.
pub(super) type Question = (AppId, VersionId, Life);

/// Whether the version may go, or why there is no answer.
pub(super) type Answered = Result<bool, String>;

#[derive(Deserialize)]
struct Answer {
    idle: bool,
}

impl Webhooks {
    /// Whether a version may go, by an answer that still counts.
    pub(super) fn lets_go(&self, question: &Question) -> bool {
        let answer = self.answers.get(question);
        answer.is_some_and(|(at, idle)| *idle == Ok(true) && at.elapsed() < YES_LASTS)
    }

    /// Whether it is time to ask. Nobody is asked again before the answer is there, and of an app only one version
    /// at a time: one that is slow keeps others from nothing.
    pub(super) fn is_due(&self, question: &Question) -> bool {
        let answer = self.answers.get(question);
        answer.is_none_or(|(at, idle)| at.elapsed() >= if *idle == Ok(true) { YES_LASTS } else { NO_LASTS })
            && !self.asking.iter().any(|(app, ..)| *app == question.0)
    }

    /// Notes that it is asked.
    pub(super) fn begin(&mut self, question: &Question) {
        self.asking.insert(question.clone());
    }

    /// Notes an answer, and forgets those that count no more. Says whether people should hear why there was none.
    pub(super) fn note(&mut self, question: Question, answered: Answered) -> bool {
        self.asking.remove(&question);
        self.answers.retain(|_, (at, _)| at.elapsed() < TOLD_FOR);
        let before = self.answers.get(&question).and_then(|(_, before)| before.as_ref().err());
        let is_new = answered.as_ref().is_err_and(|why| before != Some(why));
        self.answers.insert(question, (Instant::now(), answered));
        is_new
    }

    /// The versions of an app of which there was no answer, and why.
    pub(super) fn unanswered(&self, app: &AppId, record: &AppRecord) -> Vec<String> {
        let why = |version: &VersionRecord| {
            let question = (app.clone(), version.id.clone(), Life::of(version));
            let (_, answered) = self.answers.get(&question).filter(|(at, _)| at.elapsed() < TOLD_FOR)?;
            let why = answered.as_ref().err()?;
            Some(format!("version {}: the webhook gave no answer: {why}", version.id))
        };
        record.versions.iter().filter_map(why).collect()
    }
}

/// Asks. The answer takes as long as the webhook's timeout allows.
pub(super) async fn ask(webhook: &Webhook, app: &AppId, version: &VersionId) -> Answered {
    let body = json!({"app": app.name(), "namespace": app.namespace(), "version": version});
    let (url, patience) = (webhook.url.clone(), webhook.timeout);
    let asked = tokio::task::spawn_blocking(move || request(&url, patience, &body)).await;
    let answered = asked.unwrap_or_else(|error| Err(error.to_string()));
    if let Err(error) = &answered {
        tracing::warn!(%app, %version, error, "the webhook gave no answer: the version is kept");
    }
    answered
}

fn request(url: &str, patience: Duration, body: &serde_json::Value) -> Result<bool, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(patience)).max_redirects(0).build();
    let sent = ureq::Agent::new_with_config(config)
        .post(url)
        .header("content-type", "application/json")
        .send(body.to_string());
    let mut answer = sent.map_err(|error| error.to_string())?;
    if answer.status() != 200 {
        return Err(format!("it answered {}", answer.status()));
    }
    let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
    let text = text.map_err(|error| error.to_string())?;
    serde_json::from_str::<Answer>(&text).map(|answer| answer.idle).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::VersionState;

    /// Answers one request with `answer`, and returns what was asked.
    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/idle", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            while !asked.ends_with(b"}") {
                let read = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, server)
    }

    #[tokio::test]
    async fn only_a_clear_yes_lets_a_version_go() {
        let (app, version) = ("web/shop".parse().unwrap(), "v1".parse().unwrap());
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"idle\":true}", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"idle\":false}", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
            ("HTTP/1.1 500 No\r\ncontent-length: 13\r\n\r\n{\"idle\":true}", false),
            ("HTTP/1.1 302 Go\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", false),
            ("", false),
        ];
        for (answer, idle) in cases {
            let (url, server) = answering(answer);
            let webhook = Webhook { url, timeout: Duration::from_secs(10) };
            assert_eq!(ask(&webhook, &app, &version).await.is_ok_and(|idle| idle), idle, "{answer}");
            let asked = server.join().unwrap();
            assert!(asked.ends_with(r#"{"app":"shop","namespace":"web","version":"v1"}"#), "{asked}");
        }
        let nobody = Webhook { url: "http://127.0.0.1:1/".to_owned(), timeout: Duration::from_secs(1) };
        assert!(ask(&nobody, &app, &version).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_count_for_a_while_and_for_one_life() {
        let of = |version: &str, second: i64| -> Question {
            let since = jiff::Timestamp::from_second(second).unwrap();
            ("web/shop".parse().unwrap(), version.parse().unwrap(), Life::new(VersionState::Draining, since))
        };
        let (question, other, again) = (of("v1", 1), of("v2", 1), of("v1", 2));
        let mut webhooks = Webhooks::default();
        assert!(webhooks.is_due(&question) && !webhooks.lets_go(&question));
        webhooks.begin(&question);
        assert!(!webhooks.is_due(&question) && !webhooks.is_due(&other), "one at a time");
        webhooks.note(question.clone(), Ok(true));
        assert!(!webhooks.is_due(&question) && webhooks.lets_go(&question));
        assert!(webhooks.is_due(&other) && webhooks.is_due(&again) && !webhooks.lets_go(&again));
        tokio::time::advance(YES_LASTS).await;
        assert!(webhooks.is_due(&question) && !webhooks.lets_go(&question));
        webhooks.note(question.clone(), Ok(false));
        assert!(!webhooks.is_due(&question) && !webhooks.lets_go(&question));
    }

    #[tokio::test(start_paused = true)]
    async fn that_there_was_no_answer_is_told_once_and_shown_until_there_is_one() {
        let (app, mut record): (AppId, _) = ("web/shop".parse().unwrap(), AppRecord::default());
        let spec = crate::AppSpec {
            id: app.clone(),
            versions: vec![crate::VersionSpec {
                id: "v1".parse().unwrap(),
                revision: 1,
                endpoints: [].into(),
            }],
            active: None,
            canary: None,
            health_checked: true,
            policy: crate::Policy::default(),
        };
        crate::machine::Step::new(&mut record, jiff::Timestamp::UNIX_EPOCH, "").reconcile(&spec);
        let question = (app.clone(), record.versions[0].id.clone(), Life::of(&record.versions[0]));
        let mut webhooks = Webhooks::default();
        assert!(webhooks.note(question.clone(), Err("refused".to_owned())));
        assert!(!webhooks.note(question.clone(), Err("refused".to_owned())));
        tokio::time::advance(NO_LASTS * 2).await;
        assert!(webhooks.is_due(&question) && !webhooks.lets_go(&question));
        let shown = webhooks.unanswered(&app, &record);
        assert_eq!(shown, ["version v1: the webhook gave no answer: refused"]);
        assert!(!webhooks.note(question, Ok(false)));
        assert!(webhooks.unanswered(&app, &record).is_empty());
    }
}
