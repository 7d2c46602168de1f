//! A quick measurement, run by hand:
//! `cargo test -p queue --release --test suite -- --ignored --nocapture measure_throughput`

use std::time::{Duration, Instant};

use queue::{Message, QueueName};
use uuid::Uuid;

use crate::backend::{Backend, Embedded, RabbitMq};

const BODY_BYTES: usize = 4096;
const PUBLISHING: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, tests nothing"]
async fn measure_throughput_embedded() {
    measure(Embedded::fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, tests nothing"]
async fn measure_throughput_rabbitmq() {
    measure(RabbitMq::fresh).await;
}

async fn measure<B: Backend>(fresh: impl Fn() -> B) {
    for publishers in [1, 64, 256] {
        let backend = fresh();
        let queue = backend.open().await;
        let started = Instant::now();
        let tasks: Vec<_> = (0..publishers)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut published = 0_u32;
                    while started.elapsed() < PUBLISHING {
                        let message = Message::new(Uuid::now_v7(), vec![b'x'; BODY_BYTES]);
                        queue.publish(QueueName::Live, message).await.unwrap();
                        published += 1;
                    }
                    published
                })
            })
            .collect();
        let mut published = 0;
        for task in tasks {
            published += task.await.unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{publishers:>4} publishers: {:>8.0} publishes/s",
            f64::from(published) / seconds
        );

        let mut consumer = queue.consume(QueueName::Live).await.unwrap();
        let started = Instant::now();
        let mut taken = 0_u32;
        while taken < published {
            let batch = consumer.next_batch(256).await.unwrap();
            consumer.acknowledge(&batch).await.unwrap();
            taken += u32::try_from(batch.len()).unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "                 {:>8.0} consumed and acknowledged/s",
            f64::from(taken) / seconds
        );
    }
}
