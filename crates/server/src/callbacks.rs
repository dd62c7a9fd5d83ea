//! A telephone system's callback, done once: what follows from it is written, then shown, then remembered as done.

use std::time::Duration;

use bytes::Bytes;
use connectors::action::{Action, Post};
use connectors::callback::Callback;
use connectors::fact::{Note, Reading};
use connectors::people::People;
use connectors::vendor::read;
use protocol::fault::Malformed;
use protocol::id::{IdempotencyKey, NegotiatorId, Product, Recipient};
use protocol::payload::SubType;
use sessions::registry::When;
use sha2::{Digest, Sha256};
use store::error::StoreError;
use tokio::time::timeout;

use crate::connectors::Connector;
use crate::idempotency::OnceError;
use crate::metrics::OfNote;
use crate::node::Node;
use crate::post::{PostError, PostKey, Posting, post};
use crate::speaker::Speaker;

/// How long a callback waits for those before it: Avaya gives 5 s in all.
const TURN: Duration = Duration::from_secs(3);

/// A callback as it came.
#[derive(Debug)]
pub(crate) struct Came {
    /// What the system calls the event, where a header says so.
    pub(crate) event: Option<String>,
    pub(crate) body: Bytes,
}

/// What became of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that follows from it was done now.
    Taken,
    /// It had been done before.
    Repeated,
}

/// Why a callback was not done, or not to its end: it can come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallbackError {
    /// It is none.
    #[error("the callback cannot be used: {0}")]
    Unreadable(String),
    /// Those before it take too long.
    #[error("the callbacks before this one take too long")]
    Busy,
    /// An event that follows from it was not taken.
    #[error(transparent)]
    Post(#[from] PostError),
    /// What was to be written was not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// We made an event that is none.
    #[error("a callback became an event that cannot be read: {0}")]
    OfOurs(Malformed),
}

/// Does what a callback asks for, unless that was done before.
///
/// # Errors
/// [`CallbackError`].
pub(crate) async fn do_once(node: &Node, connector: &Connector, speaker: &Speaker, came: Came) -> Result<Outcome, CallbackError> {
    let directory = node.directories.of(&connector.setting.customer);
    let people = directory.as_deref().map_or(People::Ids, People::Directory);
    let reading = reading(node, connector, people, &came)?;
    let (key, now, notes) = (reading.key, node.clock.running(), reading.notes.clone());
    // One that takes longer than this is sent again.
    let Ok(mut state) = timeout(TURN, connector.state.lock()).await else { return Err(CallbackError::Busy) };
    let Some(plan) = state.plan(reading, people, now) else { return Ok(Outcome::Repeated) };
    count(node, connector, notes.iter().chain(&plan.notes));
    let acting = Acting { node, connector, speaker, key };
    // What is to be on disk comes first: should that fail, nothing was shown, and the callback can come again.
    let (durable, live): (Vec<_>, Vec<_>) = plan.actions.iter().partition(|action| is_durable(action));
    for action in durable.into_iter().chain(live) {
        acting.act(action).await?;
    }
    state.keep(plan, now);
    Ok(Outcome::Taken)
}

fn is_durable(action: &Action) -> bool {
    match action {
        Action::Retract { .. } => true,
        Action::Post(post) => post.sub_type == SubType::MissedCall,
    }
}

fn reading(node: &Node, connector: &Connector, people: People<'_>, came: &Came) -> Result<Reading, CallbackError> {
    let setting = &connector.setting;
    let rings_for: Vec<_> = setting.negotiators.iter().map(ToString::to_string).collect();
    let callback = Callback { event: came.event.as_deref(), body: &came.body, received: node.clock.now() };
    read(setting.vendor, callback, people, &rings_for).map_err(|error| CallbackError::Unreadable(error.to_string()))
}

fn count<'a>(node: &Node, connector: &Connector, notes: impl Iterator<Item = &'a Note>) {
    for note in notes {
        let of = OfNote { vendor: connector.setting.vendor.name(), reason: note.name() };
        node.metrics.callback_notes.get_or_create(&of).inc();
    }
}

/// A callback that is being done.
#[derive(Debug, Clone, Copy)]
struct Acting<'a> {
    node: &'a Node,
    connector: &'a Connector,
    speaker: &'a Speaker,
    /// What tells the callback from all others.
    key: [u8; 32],
}

impl Acting<'_> {
    async fn act(self, action: &Action) -> Result<(), CallbackError> {
        let customer = self.connector.setting.customer;
        match action {
            Action::Retract { negotiator, call } => {
                let Ok(negotiator) = NegotiatorId::parse(negotiator) else { return Ok(()) };
                Ok(self.node.store.retract_missed(Recipient { customer, negotiator }, call.clone()).await?)
            }
            Action::Post(event) if event.sub_type == SubType::MissedCall => {
                // Each under a key of their own, and all to their end: those who are on disk stay so, and others may be due.
                let each = event.targets.iter().map(|target| Post { targets: vec![target.clone()], ..event.clone() });
                let missed = each.map(|event| async move { self.post(&event).await });
                futures::future::join_all(missed).await.into_iter().collect()
            }
            Action::Post(event) => self.post(event).await,
        }
    }

    async fn post(self, event: &Post) -> Result<(), CallbackError> {
        let Self { node, connector, speaker, key } = self;
        // A product may have left the configuration since.
        let products = connector.setting.products.iter().filter(|product| node.config.products.contains(product));
        let body = event.envelope(&products.map(Product::as_str).collect::<Vec<_>>()).to_string();
        let now = node.clock.moment();
        let posting = Posting { when: When { taken: now.running, now }, key: post_key(&key, event), asks: false };
        match post(node, speaker, body.as_bytes(), posting).await {
            Ok(_) => Ok(()),
            Err(PostError::Once(OnceError::Conflict)) => {
                tracing::warn!(connector = %connector.id, "a callback came again and says something else; the first word stands");
                Ok(())
            }
            Err(PostError::Malformed(malformed @ Malformed::Unreadable(_))) => {
                tracing::error!(connector = %connector.id, %malformed, "a callback became an event that cannot be read");
                Err(CallbackError::OfOurs(malformed))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What tells an event from all others, and as what it stands under that key. A call is missed once by each, whichever callback says
/// so: what was on disk before a crash, or before a failure, is not written again.
fn post_key(callback: &[u8; 32], event: &Post) -> Option<PostKey> {
    let target = event.targets.first().map(String::as_str).unwrap_or_default();
    let of: [u8; 32] = match event.sub_type {
        SubType::MissedCall => Sha256::digest(format!("{} {target} {}", event.call, event.at)).into(),
        SubType::IncomingCall | SubType::AnsweredCall | SubType::EndedCall => *callback,
    };
    let hex: String = of.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = IdempotencyKey::parse(&format!("{hex}-{}-{target}", event.sub_type.name())).ok()?;
    Some(PostKey::OfConnector(key, of))
}
