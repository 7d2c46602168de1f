//! One connection to `RabbitMQ`, kept up by one loop: connect (hosts in turn), declare everything, and serve until
//! anything fails; then all of it anew. What lives between two failures is a *generation*.
//!
//! Lapin's own recovery stays off: with it, outstanding confirms hang until the connection is back, a lost channel or
//! queue stays lost, and it knows one host only.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Event};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::failure::Failure;
use super::host::{Host, Wire};
use super::topology::Topology;
use crate::error::Cause;

/// The pause before the first new attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Making nine replicated queues on a busy cluster takes its time.
const DECLARING: Duration = Duration::from_secs(30);

/// What a link connects to and declares.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) hosts: Vec<Host>,
    pub(super) tls: OwnedTLSConfig,
    pub(super) topology: Topology,
}

/// A handle on the loop, which ends with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    state: Watch,
    _stop: Arc<DropGuard>,
}

/// What the loop is at; does not keep it running.
#[derive(Clone)]
pub(super) struct Watch(watch::Receiver<State>);

#[derive(Clone)]
enum State {
    Down(Failure),
    Up(Arc<Generation>),
    /// Connected, but the broker takes no messages.
    Blocked(Arc<Generation>, Failure),
}

/// A connection from its success to its first failure.
pub(super) struct Generation {
    /// Counts up.
    pub(super) number: u64,
    wire: Wire,
    ending: CancellationToken,
    failure: OnceLock<Failure>,
}

impl Link {
    /// `name`: what the broker shows of the connection.
    pub(super) fn start(plan: Arc<Plan>, name: &'static str) -> Self {
        let stop = CancellationToken::new();
        let (sender, state) = watch::channel(State::Down(Failure::NotYet));
        let keeper = Keeper {
            plan,
            name,
            state: sender,
            stop: stop.clone(),
        };
        tokio::spawn(keeper.run());
        Self {
            state: Watch(state),
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    pub(super) fn watch(&self) -> Watch {
        self.state.clone()
    }
}

impl Watch {
    /// The present generation, if messages can be sent through it.
    pub(super) fn usable(&self) -> Result<Arc<Generation>, Failure> {
        match &*self.0.borrow() {
            State::Up(generation) => Ok(Arc::clone(generation)),
            State::Down(failure) | State::Blocked(_, failure) => Err(failure.clone()),
        }
    }

    /// Waits until messages cannot be sent, and says why.
    pub(super) async fn unusable(&mut self) -> Failure {
        let mut found = Failure::Closed;
        let unusable = |state: &State| match state {
            State::Up(_) => false,
            State::Down(failure) | State::Blocked(_, failure) => {
                found = failure.clone();
                true
            }
        };
        // Fails when the loop has ended.
        let _ = self.0.wait_for(unusable).await;
        found
    }

    /// Waits until messages can be sent.
    pub(super) async fn usable_again(&mut self) {
        // Fails when the loop has ended.
        let _ = self.0.wait_for(|state| matches!(state, State::Up(_))).await;
    }

    /// Waits for a generation that comes after the one with this number; None when the loop has ended.
    pub(super) async fn generation_after(&mut self, number: u64) -> Option<Arc<Generation>> {
        let later = |state: &State| match state {
            State::Up(generation) | State::Blocked(generation, _) => generation.number > number,
            State::Down(_) => false,
        };
        match &*self.0.wait_for(later).await.ok()? {
            State::Up(generation) | State::Blocked(generation, _) => Some(Arc::clone(generation)),
            State::Down(_) => None,
        }
    }

    /// Waits until the first attempt to connect has come out, one way or the other.
    pub(super) async fn first_outcome(&mut self) {
        // Fails when the loop has ended.
        let _ = self
            .0
            .wait_for(|state| !matches!(state, State::Down(Failure::NotYet)))
            .await;
    }
}

impl Generation {
    pub(super) async fn channel(&self) -> Result<Channel, Failure> {
        self.wire.connection.create_channel().await.map_err(Failure::lost)
    }

    /// Ends it; only the first reason counts.
    pub(super) fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure);
        self.ending.cancel();
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> Failure {
        self.ending.cancelled().await;
        self.failure()
    }

    /// Why it ended, or is about to.
    pub(super) fn failure(&self) -> Failure {
        self.failure.get().cloned().unwrap_or(Failure::Closed)
    }
}

/// The loop.
struct Keeper {
    plan: Arc<Plan>,
    name: &'static str,
    state: watch::Sender<State>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(self) {
        let stop = self.stop.clone();
        let mut pause = FIRST_PAUSE;
        let mut turn = 0;
        for number in 1.. {
            let Some(connected) = stop.run_until_cancelled(self.connect(&mut turn)).await else {
                return;
            };
            let failure = match connected {
                Ok(wire) => {
                    let began = Instant::now();
                    let Some(failure) = self.serve(number, wire).await else {
                        return;
                    };
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                    turn += 1;
                    failure
                }
                Err(failure) => failure,
            };
            tracing::error!(
                connection = self.name,
                error = &failure as &dyn Error,
                pause_ms = pause.as_millis(),
                "RabbitMQ is not available, trying again"
            );
            self.state.send_replace(State::Down(failure));
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects to the first host that can be worked with, beginning with the one whose turn it is.
    async fn connect(&self, turn: &mut usize) -> Result<Wire, Failure> {
        let mut last = Failure::NotYet;
        for _ in &self.plan.hosts {
            let host = &self.plan.hosts[*turn % self.plan.hosts.len()];
            match self.connect_to(host).await {
                Ok(wire) => {
                    tracing::info!(connection = self.name, host = %host, "connected to RabbitMQ");
                    return Ok(wire);
                }
                Err(failure) => {
                    let error = &failure as &dyn Error;
                    tracing::warn!(
                        connection = self.name,
                        error,
                        "a host of RabbitMQ is not available"
                    );
                    last = failure;
                    *turn += 1;
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, host: &Host) -> Result<Wire, Failure> {
        let wire = host.connect(&self.plan.tls, self.name).await?;
        let declare = async {
            let channel = wire.connection.create_channel().await?;
            self.plan.topology.declare(&channel).await?;
            channel.close(200, "done".into()).await
        };
        let source: Cause = match timeout(DECLARING, declare).await {
            Ok(Ok(())) => return Ok(wire),
            Ok(Err(error)) => Arc::new(error),
            Err(_) => Arc::new(Failure::Mute(DECLARING)),
        };
        wire.close().await;
        Err(Failure::CannotDeclare {
            host: host.to_string(),
            source,
        })
    }

    /// Serves until something fails; None when nobody needs the connection any more.
    async fn serve(&self, number: u64, wire: Wire) -> Option<Failure> {
        let mut events = wire.connection.events_listener();
        let generation = Arc::new(Generation {
            number,
            wire,
            ending: CancellationToken::new(),
            failure: OnceLock::new(),
        });
        // What happened before anybody listened.
        if !generation.wire.connection.status().connected() {
            return Some(Failure::Closed);
        }
        self.state.send_replace(State::Up(Arc::clone(&generation)));
        let failure = loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => break None,
                failure = generation.ended() => break Some(failure),
                event = events.next() => event,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::error!(
                        connection = self.name,
                        reason,
                        "RabbitMQ takes no messages at present"
                    );
                    let failure = Failure::Blocked { reason };
                    self.state
                        .send_replace(State::Blocked(Arc::clone(&generation), failure));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(connection = self.name, "RabbitMQ takes messages again");
                    self.state.send_replace(State::Up(Arc::clone(&generation)));
                }
                Some(Event::Error(error)) => generation.fail(Failure::lost(error)),
                None => generation.fail(Failure::Closed),
                Some(_) => {}
            }
        };
        generation.fail(failure.clone().unwrap_or(Failure::Closed));
        if let Some(failure) = &failure {
            self.state.send_replace(State::Down(failure.clone()));
        }
        // What was delivered goes back to the queues at once.
        generation.wire.close().await;
        failure
    }
}
