//! While RabbitMQ is away, webhooks are kept on the disk.

use std::net::TcpListener;

use trunkline_tests::{Installation, Told, sample};

const CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

#[tokio::test]
async fn what_came_while_the_broker_was_away_outlives_its_process_and_becomes_a_row() {
    // Bound, but not listening: connections are refused, and nobody else takes the port.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trunkline = Installation::new().with("QUEUE_URL", format!("amqp://user:password@{nobody}/"));
    let ingest = trunkline.start("webhook-ingest").await;
    let call = sample("post_call_answered.json");
    let answer = trunkline
        .post_signed("post-call", call.body, &call.signature)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let about = |path| {
        trunkline
            .client()
            .get(format!("http://{}{path}", ingest.metrics_address()))
    };
    let ready = trunkline.send(about("/readyz")).await;
    assert_eq!(ready.status, 200);
    assert!(
        ready
            .text
            .starts_with("queue: degraded: webhooks are kept in the spool (1 messages, "),
        "{ready:?}"
    );
    let metrics = trunkline.send(about("/metrics")).await.text;
    for line in [
        "trunkline_spooling 1",
        "trunkline_spool_messages 1",
        "trunkline_spooled_total 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let list = succeeds(trunkline.run(&["spool", "list"]).await);
    assert!(
        list.starts_with("spool 0: 1 messages, ") && list.ends_with("; a running process sends it on\n"),
        "{list}"
    );
    assert!(!trunkline.logs().contains("password"), "{}", trunkline.logs());
    let beside = trunkline
        .command(&["doctor"])
        .env("METRICS_ADDRESS", ingest.metrics_address())
        .output()
        .await
        .unwrap();
    let beside = String::from_utf8(beside.stdout).unwrap();
    assert!(
        beside.contains("queue: degraded: webhooks are kept in the spool"),
        "{beside}"
    );
    ingest.kill().await;

    let list = succeeds(trunkline.run(&["spool", "list"]).await);
    assert!(list.contains("nobody owns it"), "{list}");
    let doctor = trunkline.run(&["doctor"]).await.out;
    assert!(
        doctor.contains("1 webhooks wait that no running process sends on"),
        "{doctor}"
    );
    let drained = trunkline.run(&["spool", "drain"]).await;
    assert_eq!(
        (drained.code, &*drained.out),
        (1, "Sent on 0 messages.\n"),
        "{drained:?}"
    );

    let trunkline = trunkline.without("QUEUE_URL");
    let drained = succeeds(trunkline.run(&["spool", "drain"]).await);
    assert_eq!(drained, "Sent on 1 messages.\n");
    let _running = trunkline.start("run").await;
    trunkline.settle().await;
    assert!(trunkline.row(CALL).await.is_some());
}

fn succeeds(told: Told) -> String {
    assert_eq!(told.code, 0, "{told:?}");
    told.out
}
