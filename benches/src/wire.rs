//! What a client says to PostgreSQL, recorded byte by byte, and said again by somebody who does nothing else: the
//! floor of whoever writes into a database.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use test_servers::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream as AsyncStream};
use tokio::task::JoinHandle;
use url::Url;

/// Something is wrong when the server has not answered by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients say together before they wait for an answer, and on which of the connections.
#[derive(Debug, Clone)]
struct Group {
    connection: usize,
    bytes: Vec<u8>,
}

/// All that clients said after their login, on each connection in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording(Vec<Group>);

/// Stands between clients and the server and writes down what the clients say.
pub(crate) struct Recorder {
    /// Where it listens.
    pub(crate) address: String,
    said: Arc<Mutex<Recording>>,
    listening: JoinHandle<()>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let said = Arc::new(Mutex::new(Recording::default()));
        let note = Arc::clone(&said);
        let listening = tokio::spawn(async move {
            for connection in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let server = AsyncStream::connect(Database::address()).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(pass_on(client, server, connection, Arc::clone(&note)));
            }
        });
        Self {
            address,
            said,
            listening,
        }
    }

    /// Ends, and gives what was said.
    pub(crate) fn finish(self) -> Recording {
        self.listening.abort();
        std::mem::take(&mut *self.said.lock().unwrap())
    }
}

async fn pass_on(client: AsyncStream, server: AsyncStream, connection: usize, note: Arc<Mutex<Recording>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut hearing = Hearing::default();
    let mut received = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_client.read(&mut received).await {
        // Before it is sent: the answer may make somebody speak on another connection.
        for bytes in hearing.hear(&received[..length]) {
            note.lock().unwrap().0.push(Group { connection, bytes });
        }
        if to_server.write_all(&received[..length]).await.is_err() {
            return;
        }
    }
}

/// Cuts what one client says into messages, and those into groups.
#[derive(Default)]
struct Hearing {
    unread: Vec<u8>,
    has_started: bool,
    group: Vec<u8>,
}

impl Hearing {
    /// The groups that are complete with these bytes.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.unread.extend_from_slice(bytes);
        let mut groups = Vec::new();
        while let Some(message) = self.next_message() {
            // The login is not said again, nor the farewell.
            if !self.has_started || matches!(message[0], b'p' | b'X') {
                self.has_started = true;
                continue;
            }
            self.group.extend_from_slice(&message);
            // Sync, or a simple query.
            if matches!(message[0], b'S' | b'Q') {
                groups.push(std::mem::take(&mut self.group));
            }
        }
        groups
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        // The first message has no letter in front of its length.
        let letter = usize::from(self.has_started);
        let length = self.unread.get(letter..letter + 4)?;
        let length = letter + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        (self.unread.len() >= length).then(|| self.unread.drain(..length).collect())
    }
}

impl Recording {
    /// Only the statements with this text in them, and that they are prepared.
    pub(crate) fn only(&self, text: &str) -> Self {
        let mut wanted: HashSet<(usize, Vec<u8>)> = HashSet::new();
        let mut kept = Vec::new();
        for group in &self.0 {
            let is_wanted = messages(&group.bytes).any(|(kind, body)| {
                let mut names = body.split(|byte| *byte == 0);
                match kind {
                    b'P' => {
                        let (name, sql) = (names.next().unwrap(), names.next().unwrap());
                        let is_wanted = String::from_utf8_lossy(sql).contains(text);
                        is_wanted && wanted.insert((group.connection, name.to_vec()))
                    }
                    b'B' => {
                        let (_portal, name) = (names.next(), names.next().unwrap());
                        wanted.contains(&(group.connection, name.to_vec()))
                    }
                    _ => false,
                }
            });
            if is_wanted {
                kept.push(group.clone());
            }
        }
        Self(kept)
    }

    /// How many statements are carried out.
    pub(crate) fn statements(&self) -> usize {
        let executed = |group: &Group| {
            messages(&group.bytes)
                .filter(|(kind, _)| matches!(kind, b'E' | b'Q'))
                .count()
        };
        self.0.iter().map(executed).sum()
    }

    /// Says all of it to a database, and gives how long that took: over as many connections, beside each other, since one
    /// may wait for what another has locked. Waits for the network: not for async threads.
    pub(crate) fn say_to(&self, database: &str) -> Duration {
        let mut sessions = self.sessions(database);
        let began = Instant::now();
        thread::scope(|scope| {
            for (connection, session) in &mut sessions {
                let groups = self.0.iter().filter(move |group| group.connection == *connection);
                scope.spawn(move || groups.for_each(|group| session.say(&group.bytes).unwrap()));
            }
        });
        began.elapsed()
    }

    /// The same, one after the other in the order in which it was heard: for statements that were taken out of their
    /// transactions, with what they had locked.
    pub(crate) fn say_in_order_to(&self, database: &str) -> Duration {
        let mut sessions = self.sessions(database);
        let began = Instant::now();
        for group in &self.0 {
            let session = sessions.get_mut(&group.connection).unwrap();
            session.say(&group.bytes).unwrap();
        }
        began.elapsed()
    }

    fn sessions(&self, database: &str) -> HashMap<usize, Session> {
        let connections: HashSet<usize> = self.0.iter().map(|group| group.connection).collect();
        let open = |connection| (connection, Session::open(&database.parse().unwrap()).unwrap());
        connections.into_iter().map(open).collect()
    }
}

/// The messages of a group: their kinds and bodies.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().unwrap()) as usize;
        let (message, rest) = bytes.split_at(1 + length);
        bytes = rest;
        Some((message[0], &message[5..]))
    })
}

/// A connection that is logged in.
struct Session(BufReader<TcpStream>);

impl Session {
    fn open(url: &Url) -> io::Result<Self> {
        let stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap_or(5432)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self(BufReader::with_capacity(64 * 1024, stream));
        session.log_in(url)?;
        Ok(session)
    }

    fn log_in(&mut self, url: &Url) -> io::Result<()> {
        let mut first = 196_608_u32.to_be_bytes().to_vec();
        for word in [
            "user",
            url.username(),
            "database",
            url.path().trim_start_matches('/'),
            "",
        ] {
            first.extend_from_slice(word.as_bytes());
            first.push(0);
        }
        self.send(None, &first)?;
        let password = url.password().unwrap_or_default();
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let (kind, body) = self.receive()?;
            match (kind, body.first_chunk().map(|code| u32::from_be_bytes(*code))) {
                (b'Z', _) => return Ok(()),
                (b'E', _) => return Err(refusal(&body)),
                // SASL: begin, go on, end.
                (b'R', Some(10)) => {
                    let mut answer = b"SCRAM-SHA-256\0".to_vec();
                    let message = scram.message();
                    answer.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
                    answer.extend_from_slice(message);
                    self.send(Some(b'p'), &answer)?;
                }
                (b'R', Some(11)) => {
                    scram.update(&body[4..])?;
                    let answer = scram.message().to_vec();
                    self.send(Some(b'p'), &answer)?;
                }
                (b'R', Some(12)) => scram.finish(&body[4..])?,
                _ => {}
            }
        }
    }

    /// Says a group and waits until the server is ready for the next.
    fn say(&mut self, group: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(group)?;
        let mut refused = None;
        loop {
            match self.receive()? {
                (b'Z', _) => return refused.map_or(Ok(()), Err),
                (b'E', body) => refused = Some(refusal(&body)),
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        let message = kind.into_iter().chain(length).chain(body.iter().copied());
        self.0.get_mut().write_all(&message.collect::<Vec<_>>())
    }

    fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

fn refusal(body: &[u8]) -> io::Error {
    io::Error::other(String::from_utf8_lossy(body).replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    #[test]
    fn what_a_client_says_is_cut_into_groups_wherever_the_network_cuts_it() {
        let login = [&9_u32.to_be_bytes()[..], b"login"].concat();
        let group = [message(b'P', b"s\0select 1\0\0\0"), message(b'S', b"")].concat();
        let query = message(b'Q', b"begin\0");
        let said = [login, message(b'p', b"secret"), group.clone(), query.clone()].concat();
        for cut in 0..said.len() {
            let mut hearing = Hearing::default();
            let mut heard = hearing.hear(&said[..cut]);
            heard.extend(hearing.hear(&said[cut..]));
            assert_eq!(heard, [group.clone(), query.clone()]);
        }
    }

    #[test]
    fn only_the_statements_that_are_wanted_are_kept() {
        let group = |bytes| Group { connection: 0, bytes };
        let recording = Recording(vec![
            group(message(b'P', b"one\0insert into a\0\0\0")),
            group(message(b'P', b"two\0insert into b\0\0\0")),
            group([message(b'B', b"\0one\0"), message(b'E', b"\0\0\0\0\0")].concat()),
            group([message(b'B', b"\0two\0"), message(b'E', b"\0\0\0\0\0")].concat()),
        ]);
        let kept = recording.only("into b");
        assert_eq!(kept.0.len(), 2);
        assert_eq!(kept.statements(), 1);
    }
}
