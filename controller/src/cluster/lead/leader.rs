//! What the leader does while it leads: looks at what was found and what replicas say, writes the
//! states that follow, and acts. A few apps at a time, each write guarded by the resourceVersion that it
//! was decided on: if somebody else wrote meanwhile, it is read and decided again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::events::reference;
use super::fleet::Fleet;
use super::links::Links;
use super::memo::Memo;
use super::step::Turn;
use super::webhook::{Answered, Question, Webhooks, ask};
use crate::cluster::found::Problem;
use crate::{AppId, Webhook};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Changes that come together are looked at together.
const BREATH: Duration = Duration::from_millis(50);
/// Apps that are written at the same time: one that is slow does not hold a thousand others up.
const TURNS: usize = 8;
/// Webhooks that are asked at the same time.
const ASKS: usize = 8;

/// A time of leading.
pub(super) struct Leader {
    links: Links,
    fleet: watch::Receiver<Arc<Fleet>>,
    memos: HashMap<AppId, Memo>,
    webhooks: Webhooks,
    /// Webhooks that are to be asked.
    questions: Vec<(Webhook, Question)>,
    /// Since when it leads.
    began: Instant,
    problems: Vec<Problem>,
}

type Asks = JoinSet<(Question, Answered)>;

impl Leader {
    pub(super) fn new(links: Links, fleet: watch::Receiver<Arc<Fleet>>) -> Self {
        Self {
            links,
            fleet,
            memos: HashMap::new(),
            webhooks: Webhooks::default(),
            questions: Vec::new(),
            began: Instant::now(),
            problems: Vec::new(),
        }
    }

    /// Leads until it is `over`, or nobody says what there is any more. What is being written then is finished and
    /// told: without a term nothing else is begun, and nobody else leads before it is there.
    pub(super) async fn run(mut self, over: impl Future<Output = ()> + Clone) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Asks::new();
        loop {
            tokio::select! {
                // Nothing is begun after that.
                biased;
                () = over.clone() => return,
                Some(Ok((question, answered))) = asks.join_next() => self.answered(question, answered),
                _ = ticks.tick() => {}
                changed = self.links.cluster.changed() => if changed.is_err() { return },
                changed = self.fleet.changed() => if changed.is_err() { return },
            }
            self.pass(over.clone()).await;
            self.ask(&mut asks);
            sleep(BREATH).await;
        }
    }

    async fn pass(&mut self, over: impl Future<Output = ()>) {
        tokio::pin!(over);
        let cluster = Arc::clone(&self.links.cluster.borrow_and_update());
        let fleet = Arc::clone(&self.fleet.borrow_and_update());
        // A Deployment that is not seen while only its watch is behind is not gone.
        if !cluster.complete || !cluster.stored || cluster.behind {
            return;
        }
        if self.problems != cluster.found.problems {
            self.links.events.problems(&self.problems, &cluster.found.problems);
            self.problems.clone_from(&cluster.found.problems);
            self.memos.values_mut().for_each(Memo::look_again);
        }
        let apps: BTreeSet<&AppId> = cluster.resources.keys().chain(cluster.found.apps.keys()).collect();
        // Those of apps that are no more go.
        let mut memos = std::mem::take(&mut self.memos);
        let mut waiting: Vec<_> = apps
            .into_iter()
            .rev()
            .map(|app| Turn {
                links: &self.links,
                webhooks: &self.webhooks,
                cluster: &cluster,
                fleet: &fleet,
                app,
                memo: memos.remove(app).unwrap_or_default(),
                questions: Vec::new(),
                began: self.began,
            })
            .collect();
        let mut taken = FuturesUnordered::new();
        loop {
            while taken.len() < TURNS
                && let Some(turn) = waiting.pop()
            {
                taken.push(turn.take());
            }
            tokio::select! {
                biased;
                () = &mut over, if !waiting.is_empty() => waiting.clear(),
                turn = taken.next() => {
                    let Some(Turn { app, memo, questions, .. }) = turn else { return };
                    self.memos.insert(app.clone(), memo);
                    self.questions.extend(questions);
                }
            }
        }
    }

    fn answered(&mut self, question: Question, answered: Answered) {
        let (app, version, _) = &question;
        let note = answered.as_ref().err().map(|why| {
            format!("version {version} is kept, up to maxAlive: the webhook gave no answer: {why}")
        });
        let object = self.links.cluster.borrow().resources.get(app).map(|resource| {
            let uid = resource.metadata.uid.as_deref().unwrap_or_default();
            reference("VersionedApp", app.namespace(), app.name(), uid)
        });
        if self.webhooks.note(question, answered)
            && let (Some(object), Some(note)) = (object, note)
        {
            self.links.events.warn(object, "WebhookFailed", &note);
        }
    }

    fn ask(&mut self, asks: &mut Asks) {
        for (webhook, question) in self.questions.drain(..) {
            // What finds no place, or was asked for twice, comes again with the next decision.
            if asks.len() >= ASKS || !self.webhooks.is_due(&question) {
                continue;
            }
            self.webhooks.begin(&question);
            asks.spawn(async move {
                let answered = ask(&webhook, &question.0, &question.1).await;
                (question, answered)
            });
        }
    }
}
