//! What is done with a dead letter by a person's decision; for the HTTP API and the command line alike.

use calls::{NotReplayable, Reading, Replay};
use queue::{Message, Queue, QueueError, QueueName};
use store::{DeadLetterState, KeptDeadLetter, Store, StoreError};
use uuid::Uuid;

/// Why a dead letter was not tried once more.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// It cannot be; another try would be the same.
    #[error(transparent)]
    Unfit(#[from] NotReplayable),
    /// It was not published.
    #[error("the message could not be published")]
    Queue(#[from] QueueError),
    /// It was published, but that is not noted.
    #[error("what became of the dead letter could not be noted")]
    Store(#[from] StoreError),
}

/// Tries a dead letter once more: what is mended works now, and what is not comes back as another dead letter.
pub async fn replay(
    store: &Store,
    queue: &Queue,
    kept: &KeptDeadLetter,
    reading: Reading,
) -> Result<(), NotReplayed> {
    let KeptDeadLetter { letter, state } = kept;
    // A name of its own: should it fail again, it is another dead letter.
    let id = Uuid::now_v7();
    let (name, body) = match Replay::of(&letter.body, id, reading)? {
        Replay::Event(event) => (queue_of(&letter.queue, event.kind.is_progress()), event.encode()),
        Replay::Alert(alert) => (QueueName::Alerts, alert.encode()),
    };
    // Published first: a crash between the two replays it twice, which changes nothing, rather than never.
    queue.publish(name, Message::new(id, body)).await?;
    store
        .set_dead_letter_state(letter.id, *state, DeadLetterState::Replayed)
        .await?;
    Ok(())
}

/// Puts a dead letter aside; it is kept. Returns whether nobody else has done something with it meanwhile.
pub async fn discard(store: &Store, kept: &KeptDeadLetter) -> Result<bool, StoreError> {
    store
        .set_dead_letter_state(kept.letter.id, kept.state, DeadLetterState::Discarded)
        .await
}

fn queue_of(name: &str, is_progress: bool) -> QueueName {
    match name.parse() {
        Ok(QueueName::Backfill) => QueueName::Backfill,
        _ if is_progress => QueueName::Progress,
        _ => QueueName::Live,
    }
}
