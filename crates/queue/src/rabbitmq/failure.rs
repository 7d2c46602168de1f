//! Why `RabbitMQ` cannot be worked with at present. Callers see it as the cause of `Unavailable`.

use std::time::Duration;

use super::publisher::Target;
use crate::error::Cause;

#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("not connected to RabbitMQ yet")]
    NotYet,
    #[error("cannot connect to {host}")]
    CannotConnect { host: String, source: Cause },
    #[error("cannot declare the queues on {host}")]
    CannotDeclare { host: String, source: Cause },
    #[error("the connection to RabbitMQ was lost")]
    Lost { source: Cause },
    #[error("the connection to RabbitMQ was closed")]
    Closed,
    #[error("RabbitMQ takes no messages at present: {reason}")]
    Blocked { reason: String },
    #[error("RabbitMQ did not confirm within {} ms", .0.as_millis())]
    Unconfirmed(Duration),
    #[error("RabbitMQ did not answer within {} ms", .0.as_millis())]
    Mute(Duration),
    #[error("RabbitMQ refuses what is for {queue}: it is full, or a broker of the cluster is away")]
    Refused { queue: String },
    #[error("RabbitMQ returned a message: its queue is gone")]
    Returned,
    #[error("RabbitMQ cancelled a consumer: its queue is gone")]
    Cancelled,
}

impl Failure {
    pub(super) fn refused(target: &Target) -> Self {
        Self::Refused {
            queue: target.routing_key.to_string(),
        }
    }

    pub(super) fn lost(source: lapin::Error) -> Self {
        Self::Lost {
            source: std::sync::Arc::new(source),
        }
    }
}
