//! A process that is restarted while webhooks come in, behind a socket that somebody else holds, as systemd does.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use reqwest::{Client, StatusCode};
use test_servers::{Database, Proxy};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use trunkline_tests::{Installation, PATIENCE, sample};

const RESTARTS: usize = 3;
const CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_a_socket_of_systemd_refuses_nobody_who_connects() {
    // A connection for each webhook, as CallRail has.
    refuses_nobody(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_a_socket_of_systemd_refuses_nobody_who_is_connected() {
    // Connections are kept, as proxies do.
    refuses_nobody(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_database_says_nothing_ends_when_its_grace_is_over() {
    let database = Database::empty();
    let proxy = Proxy::to(Database::address()).await;
    let trunkline = Installation::new()
        .with("DATABASE_URL", database.url_by(proxy.address))
        .with("SHUTDOWN_GRACE", "1s");
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let running = trunkline.start("run").await;
    proxy.freeze(true);
    let call = sample("post_call_answered.json");
    let answer = trunkline.post_signed("post-call", call.body, &call.signature);
    assert_eq!(answer.await.status, 200);
    // Waits for its end, whether the writer had the call in its hands by then or not.
    running.terminate().await;
}

async fn refuses_nobody(connections_kept: usize) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let trunkline = Installation::new().with("METRICS_ADDRESS", "127.0.0.1:0");
    let client = Client::builder().pool_max_idle_per_host(connections_kept);
    let client = client.no_proxy().timeout(PATIENCE).build().unwrap();
    let url = format!(
        "http://{}/api/webhooks/callrail/post-call",
        socket.local_addr().unwrap()
    );
    let (accepted, mut watched) = watch::channel(0);
    let mut process = start(&trunkline, &socket);
    let posting = tokio::spawn(async move {
        let call = sample("post_call_answered.json");
        while !accepted.is_closed() {
            let request = client.post(&url).header("signature", &call.signature);
            let answer = request.body(call.body.clone()).send().await;
            assert_eq!(answer.expect("a webhook was refused").status(), StatusCode::OK);
            accepted.send_modify(|accepted| *accepted += 1);
        }
    });
    for restart in 1..=RESTARTS {
        let enough = watched.wait_for(|accepted| *accepted >= restart * 50);
        timeout(PATIENCE, enough).await.unwrap().unwrap();
        let pid = process.id().unwrap().to_string();
        assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
        let ended = timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
        process = start(&trunkline, &socket);
    }
    let enough = watched.wait_for(|accepted| *accepted >= (RESTARTS + 1) * 50);
    timeout(PATIENCE, enough).await.unwrap().unwrap();
    drop(watched);
    posting.await.unwrap();
    trunkline.settle().await;
    assert!(trunkline.row(CALL).await.is_some());
    process.kill().await.unwrap();
}

/// Starts the program with the socket as descriptor 3, as systemd does (`sd_listen_fds(3)`).
fn start(trunkline: &Installation, socket: &TcpListener) -> Child {
    let program = trunkline.command(&["run"]);
    let program = program.as_std();
    let environment = program
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    Command::new("sh")
        .args([
            "-c",
            "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"",
        ])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(environment)
        .current_dir(trunkline.folder())
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
