//! The load: requests over many connections, at a rate that does not wait for the answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::web::Bytes;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Where the requests go, and how many at a time.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Whole requests, sent one after the other and then again from the first.
    pub(crate) requests: Arc<[Bytes]>,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) until: Until,
}

/// When it is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// When so much time is over.
    Over(Duration),
    /// When each request was sent once.
    Sent,
}

/// When the next request is due.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as a connection is free: how much is taken at most.
    Unbounded,
    /// So many a second, whether or not those before are answered. One for which no connection is free is late, and
    /// its time begins when it was due: what makes the load wait is not left out.
    PerSecond(f64),
}

/// What became of the requests.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) took: Duration,
    /// From when a request was due to its answer, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Which requests were accepted, and when each was due.
    pub(crate) sent: Vec<(usize, Instant)>,
}

impl Outcome {
    /// Of no request.
    fn nothing() -> Self {
        Self {
            accepted: 0,
            refused: 0,
            took: Duration::ZERO,
            latency: histogram(),
            sent: Vec::new(),
        }
    }

    /// How many were accepted, as a number to calculate with.
    #[allow(clippy::cast_precision_loss, reason = "nobody sends 2^52 requests")]
    pub(crate) fn count(&self) -> f64 {
        self.accepted as f64
    }

    /// Accepted requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
    }

    /// A quantile of the latency, in milliseconds.
    pub(crate) fn milliseconds(&self, quantile: f64) -> f64 {
        milliseconds(&self.latency, quantile)
    }
}

/// A quantile of a histogram of microseconds, in milliseconds.
#[allow(clippy::cast_precision_loss, reason = "minutes at most")]
pub(crate) fn milliseconds(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1_000.0
}

/// An empty histogram of microseconds, up to ten minutes, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).unwrap()
}

/// Notes a time in a histogram of microseconds.
pub(crate) fn note(histogram: &mut Histogram<u64>, took: Duration) {
    let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    histogram.saturating_record(microseconds.max(1));
}

impl Load {
    /// Each of these requests once.
    pub(crate) fn once(address: SocketAddr, requests: Arc<[Bytes]>, connections: usize, pace: Pace) -> Self {
        Self {
            address,
            requests,
            connections,
            pace,
            until: Until::Sent,
        }
    }

    /// Sends it. Fails when a connection does.
    pub(crate) async fn send(self) -> io::Result<Outcome> {
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let mut at_work = JoinSet::new();
        for stream in streams {
            let connection = Connection {
                stream,
                received: Vec::with_capacity(4_096),
            };
            at_work.spawn(connection.send(self.clone(), began, Arc::clone(&next)));
        }
        let mut outcome = Outcome::nothing();
        while let Some(ended) = at_work.join_next().await {
            let part = ended.unwrap()?;
            outcome.accepted += part.accepted;
            outcome.refused += part.refused;
            outcome.took = outcome.took.max(part.took);
            outcome.latency.add(part.latency).unwrap();
            outcome.sent.extend(part.sent);
        }
        Ok(outcome)
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    async fn send(mut self, load: Load, began: Instant, next: Arc<AtomicU64>) -> io::Result<Outcome> {
        let mut outcome = Outcome::nothing();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = match load.pace {
                Pace::Unbounded => Instant::now(),
                Pace::PerSecond(rate) => began + Duration::from_secs(number).div_f64(rate),
            };
            let number = usize::try_from(number).unwrap();
            let is_enough = match load.until {
                Until::Over(lasting) => due >= began + lasting,
                Until::Sent => number >= load.requests.len(),
            };
            if is_enough {
                return Ok(outcome);
            }
            let due = if Instant::now() < due {
                sleep_until(due).await;
                // The clock's own unpunctuality, a millisecond, is not the server's.
                Instant::now()
            } else {
                due
            };
            let place = number % load.requests.len();
            let status = self.exchange(&load.requests[place]).await?;
            note(&mut outcome.latency, due.elapsed());
            outcome.took = began.elapsed();
            if (200..300).contains(&status) {
                outcome.accepted += 1;
                outcome.sent.push((place, due));
            } else {
                outcome.refused += 1;
            }
        }
    }

    /// Sends a request and reads the whole answer; its status.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = whole_answer(&self.received)? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer that is all there.
fn whole_answer(received: &[u8]) -> io::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(received).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let Some(length) = length else {
        return Err(io::Error::other("an answer does not say how long it is"));
    };
    Ok((received.len() >= head + length).then_some(answer.code.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        for end in 0..answer.len() {
            assert_eq!(whole_answer(&answer[..end]).unwrap(), None);
        }
        assert_eq!(whole_answer(answer).unwrap(), Some(200));
    }

    /// A server that takes 50 ms for each request, and one connection at 100 requests a second: the last of 20 was due
    /// after 190 ms and is answered after a second.
    #[tokio::test]
    async fn what_waits_for_a_connection_is_late_since_it_was_due() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1];
            while stream.read_exact(&mut request).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        });
        let load = Load {
            address,
            requests: [Bytes::from_static(b"?")].into(),
            connections: 1,
            pace: Pace::PerSecond(100.0),
            until: Until::Over(Duration::from_millis(200)),
        };
        let outcome = load.send().await.unwrap();
        assert_eq!(outcome.accepted, 20);
        assert!(outcome.milliseconds(1.0) > 750.0, "{}", outcome.milliseconds(1.0));
    }
}
