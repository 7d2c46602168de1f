//! A broker that takes so many messages a second, and no more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// How late a message may be and still count in its own turn: timers are coarse.
const LENIENCE: Duration = Duration::from_millis(50);

/// How a frame of the method `basic.publish` begins: its class and its number (AMQP 0-9-1, sections 2.3.5 and 1.8.3.7).
const PUBLISH: [u8; 4] = [0, 60, 0, 40];
const METHOD: u8 = 1;

/// Stands before a broker and passes messages on to it at a pace; whatever else is said goes by at once.
pub struct Throttle {
    /// Where it listens.
    pub address: SocketAddr,
    pace: Arc<Pace>,
    listening: JoinHandle<()>,
}

/// Shared by all connections.
struct Pace {
    /// When the next message may pass, and how much later the one after it; `None`: whenever it comes.
    next: Mutex<Option<(Instant, Duration)>>,
}

impl Throttle {
    /// On a free port, before the broker at this address, which takes as many as it can for now.
    pub async fn to(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pace = Arc::new(Pace {
            next: Mutex::new(None),
        });
        Self {
            address: listener.local_addr().unwrap(),
            pace: Arc::clone(&pace),
            listening: tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass_on(client, broker.clone(), Arc::clone(&pace)));
                }
            }),
        }
    }

    /// From now on the broker takes so many a second.
    pub fn limit(&self, messages_per_second: u32) {
        let interval = Duration::from_secs(1) / messages_per_second;
        self.set(Some((Instant::now(), interval)));
    }

    /// From now on the broker takes as many as it can.
    pub fn lift(&self) {
        self.set(None);
    }

    fn set(&self, next: Option<(Instant, Duration)>) {
        *self.pace.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Pace {
    /// Waits until the next message may pass.
    async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((at, interval)) = &mut *next else { return };
            let turn = (*at).max(Instant::now() - LENIENCE);
            *at = turn + *interval;
            turn
        };
        sleep_until(turn).await;
    }
}

async fn pass_on(client: TcpStream, broker: String, pace: Arc<Pace>) {
    let Ok(broker) = TcpStream::connect(broker).await else {
        return;
    };
    let (from_client, mut to_client) = client.into_split();
    let (mut from_broker, to_broker) = broker.into_split();
    // One way closed closes both.
    tokio::select! {
        _ = pass_frames(from_client, to_broker, &pace) => {}
        _ = tokio::io::copy(&mut from_broker, &mut to_client) => {}
    }
}

/// Passes on whole frames: type (1 byte), channel (2), size (4), payload, end (1); after the protocol header (8).
async fn pass_frames(
    client: impl AsyncRead + Unpin,
    mut broker: impl AsyncWrite + Unpin,
    pace: &Pace,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut header = [0; 8];
    client.read_exact(&mut header).await?;
    broker.write_all(&header).await?;
    let mut frame = vec![0; 7];
    loop {
        frame.truncate(7);
        client.read_exact(&mut frame).await?;
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]);
        frame.resize(8 + size as usize, 0);
        client.read_exact(&mut frame[7..]).await?;
        if frame[0] == METHOD && frame[7..].starts_with(&PUBLISH) {
            pace.turn().await;
        }
        broker.write_all(&frame).await?;
    }
}
