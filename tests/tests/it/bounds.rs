//! Senders who are slow on purpose, and many: each is cut off in time, together they cost little, and a genuine webhook
//! comes through.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};
use trunkline_tests::{Installation, PATIENCE, Process, sample};

/// How long a head or a body may take (`runtime::serve`, `webhook_ingest::body`), and how much later its sender may
/// notice on a busy machine.
const ALLOWED: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(20);

const LONG_BODY: usize = 16 * 1024 * 1024;
const LONG_BODIES: usize = 16;
const USUAL_BODY: usize = 256 * 1024;
const USUAL_BODIES: usize = 80;
const WEBHOOKS: usize = 50;
/// What all unverified bodies may have together, by docs/reliability.md, and what the program needs beside it.
const ROOM: u64 = 32 * 1024 * 1024;
const BESIDE: u64 = 32 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_of_a_byte_a_second_is_cut_off_and_keeps_nobody_out() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let head = "POST /api/webhooks/callrail/post-call HTTP/1.1\r\nHost: crm.example.com\r\n";
    let whole_head = format!("{head}Content-Length: 100\r\nSignature: none\r\n\r\n");
    let (in_head, in_body, ()) = tokio::join!(
        send_slowly(&trunkline, head),
        send_slowly(&trunkline, &whole_head),
        accepts_a_webhook(&trunkline),
    );
    assert!(in_head.starts_with("HTTP/1.1 408 "), "{in_head}");
    assert!(in_body.starts_with("HTTP/1.1 408 "), "{in_body}");
    assert!(in_body.contains("\"too_slow\""), "{in_body}");
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_of_many_who_never_end_take_no_more_memory_than_is_allowed() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    accepts_a_webhook(&trunkline).await;
    let before = resident(&running);
    let mut most = before;
    let mut stalled = Vec::new();
    let head = format!(
        "POST /api/webhooks/callrail/post-call HTTP/1.1\r\nHost: crm.example.com\r\nContent-Length: {LONG_BODY}\r\n\r\n"
    );
    for _ in 0..LONG_BODIES {
        let mut connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        // As much as is taken: who is refused can send no more.
        let _ = connection.write_all(&vec![b' '; LONG_BODY - 1]).await;
        stalled.push(connection);
        most = most.max(resident(&running));
    }
    accepts_a_webhook(&trunkline).await;
    most = most.max(resident(&running));
    println!("{} MiB more memory at most", (most - before) >> 20);
    assert!(most - before <= ROOM + BESIDE, "{} bytes", most - before);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usual_bodies_of_many_who_never_end_keep_nobody_out() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let head = format!(
        "POST /api/webhooks/callrail/post-call HTTP/1.1\r\nHost: crm.example.com\r\nContent-Length: {USUAL_BODY}\r\n\r\n"
    );
    let mut stalled = Vec::new();
    // More than there is room for.
    for _ in 0..USUAL_BODIES {
        let mut connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        stalled.push(connection);
    }
    let body = vec![b' '; USUAL_BODY - 1];
    let stalling = stalled.iter_mut().map(|connection| connection.write_all(&body));
    let sent = futures_util::future::join_all(stalling);
    // Of so many some come when there is no room.
    let accepted = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..WEBHOOKS {
            let began = Instant::now();
            accepts_a_webhook(&trunkline).await;
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (_, slowest) = tokio::join!(sent, accepted);
    println!("the slowest took {slowest:?}");
    assert!(slowest < ALLOWED / 2, "{slowest:?}");
    running.kill().await;
}

/// Sends a beginning, then a byte a second until it is answered or cut off, in time; what was answered.
async fn send_slowly(trunkline: &Installation, beginning: &str) -> String {
    let connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
    let (mut receiving, mut sending) = connection.into_split();
    let began = Instant::now();
    sending.write_all(beginning.as_bytes()).await.unwrap();
    let trickling = async {
        let mut seconds = interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            if sending.write_all(b"x").await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = Vec::new();
    let answered = async {
        let mut chunk = [0; 1024];
        // A connection that is reset has ended as well.
        while let Ok(length @ 1..) = receiving.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..length]);
            if is_whole(&answer) {
                return;
            }
        }
    };
    tokio::select! {
        () = trickling => {}
        ended = timeout(PATIENCE, answered) => ended.expect("the sender is never cut off"),
    }
    let took = began.elapsed();
    assert!(took < ALLOWED + SLACK, "{took:?}");
    String::from_utf8(answer).unwrap()
}

/// Whether an answer has come to its end: the program says how long each is.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.parse() == Ok(body.len()))
}

async fn accepts_a_webhook(trunkline: &Installation) {
    let call = sample("post_call_answered.json");
    let answer = trunkline
        .post_signed("post-call", call.body, &call.signature)
        .await;
    assert_eq!(answer.status, 200, "{}", trunkline.logs());
}

/// Zero where the system does not tell.
fn resident(process: &Process) -> u64 {
    process.resident_bytes().unwrap_or_default()
}
