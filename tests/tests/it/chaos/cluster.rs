//! Three brokers that are one lose the one that leads, then the one that the clients are on, then take nothing, since one
//! of them is short of memory, or of disk, and at last lose two at once.

use std::time::{Duration, Instant};

use queue::{Queue, QueueOptions};
use test_servers::{Cluster, Database, Vhost};
use tokio::task::block_in_place;
use trunkline_tests::{Process, eventually};

use super::deliveries;
use crate::crash::seeded;
use crate::load::Load;
use crate::scaled::{Site, WORKERS};
use trunkline_tests::pusher_peer::{Mood, Peer};

/// The one that leads, the one that the clients are on, and the one that is never lost.
const LEADER: usize = 0;
const OURS: usize = 1;
const THIRD: usize = 2;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts three brokers: see ./test --chaos"]
async fn three_brokers_lose_one_after_the_other_and_run_short_of_memory_and_disk() {
    let (mut rng, deliveries) = (seeded(), deliveries());
    let cluster = block_in_place(Cluster::start);
    let (pusher, pusher_address) = Peer::start(Mood::Fine);
    let vhost = cluster.vhost(THIRD);
    let led_by = vhost.url_by(cluster.address(LEADER));
    // Whoever declares a queue has its leader near.
    drop(
        Queue::connect(&led_by.parse().unwrap(), QueueOptions::default())
            .await
            .unwrap(),
    );
    let clients = [OURS, THIRD, LEADER].map(|node| vhost.url_by(cluster.address(node)));
    let calls = deliveries / 4;
    let mut site = Site::on(vhost, &mut rng, calls, &Database::address(), &pusher_address).await;
    site.offices = site
        .offices
        .map(|office| office.with("QUEUE_URL", clients.join(",")));
    let ingests = site.start_ingests().await;
    let workers = WORKERS.map(|service| site.spawn(service)).into();
    let mut scene = Scene {
        load: site.load(&mut rng, deliveries),
        share: deliveries / 6,
        released: 0,
        site: &site,
        cluster: &cluster,
        ingests,
    };
    scene.take_a_share("all is well").await;

    assert_eq!(leader(&cluster, &site.broker), LEADER);
    scene.lose(LEADER, "the leader is lost").await;
    scene.everybody_is_on(OURS).await;
    scene.lose(OURS, "the broker of the clients is lost").await;

    let memory = |limit| ["set_vm_memory_high_watermark", "absolute", limit];
    scene
        .run_short(&memory("1MB"), &memory("4GB"), "short of memory")
        .await;
    let disk = |limit| ["set_disk_free_limit", limit];
    scene
        .run_short(&disk("100000GB"), &disk("50MB"), "short of disk")
        .await;

    scene.lose_the_majority().await;

    let Scene { load, ingests, .. } = scene;
    let sent = load.finish().await;
    site.spools_are_emptied().await;
    let rows = site.finish(&sent, &pusher, workers).await;
    let (accepted, unanswered) = sent.counts();
    println!(
        "{accepted} deliveries accepted, {unanswered} not answered, {rows} rows; lost, doubled, wrong: 0"
    );
    assert_eq!(unanswered, 0, "no ingest was away");
    for ingest in ingests {
        ingest.kill().await;
    }
}

struct Scene<'a> {
    site: &'a Site,
    cluster: &'a Cluster,
    ingests: Vec<Process>,
    load: Load,
    share: usize,
    released: usize,
}

impl Scene<'_> {
    /// Lets a share of the load come in, and says how long it took.
    async fn take_a_share(&mut self, meanwhile: &str) {
        let began = Instant::now();
        self.release_a_share();
        self.load.has_accepted(self.released).await;
        let took = began.elapsed().as_secs_f64();
        println!("{meanwhile}: {} webhooks accepted in {took:.1} s", self.share);
    }

    fn release_a_share(&mut self) {
        self.load.release(self.share);
        self.released += self.share;
    }

    /// Loses a broker in the midst of a share, and starts it again after that.
    async fn lose(&mut self, node: usize, meanwhile: &str) {
        let ready = eventually(|| async { self.cluster.can_lose(node).then_some(()) });
        ready.await.expect("the brokers do not get together");
        self.release_a_share();
        self.load.accepts(self.share / 4).await;
        let began = Instant::now();
        block_in_place(|| self.cluster.kill(node));
        self.load.has_accepted(self.released).await;
        let accepted = began.elapsed();
        self.becomes("queue: ready").await;
        self.tell(meanwhile, accepted, began);
        block_in_place(|| self.cluster.start_again(node));
    }

    /// Leaves one of three, which is connected and confirms nothing, while a share comes in.
    async fn lose_the_majority(&mut self) {
        let ready = eventually(|| async { self.cluster.can_lose(LEADER).then_some(()) });
        ready.await.expect("the brokers do not get together");
        let lost = [LEADER, OURS];
        let began = Instant::now();
        block_in_place(|| lost.map(|node| self.cluster.kill(node)));
        self.release_a_share();
        self.load.has_accepted(self.released).await;
        let accepted = began.elapsed();
        self.becomes("in the spool").await;
        block_in_place(|| lost.map(|node| self.cluster.start_again(node)));
        let began = Instant::now();
        self.becomes("queue: ready").await;
        self.tell("two of three are lost", accepted, began);
    }

    /// Lets the third broker be short of something while a share comes in.
    async fn run_short(&mut self, short: &[&str], enough: &[&str], meanwhile: &str) {
        block_in_place(|| self.cluster.control(THIRD, short));
        // Who publishes nothing is not told.
        let began = Instant::now();
        self.release_a_share();
        self.load.has_accepted(self.released).await;
        let accepted = began.elapsed();
        self.becomes("RabbitMQ takes no messages at present").await;
        block_in_place(|| self.cluster.control(THIRD, enough));
        let began = Instant::now();
        self.becomes("queue: ready").await;
        self.tell(meanwhile, accepted, began);
    }

    fn tell(&self, meanwhile: &str, accepted: Duration, began: Instant) {
        println!(
            "{meanwhile}: {} webhooks accepted in {:.1} s, well again after {:.1} s",
            self.share,
            accepted.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
    }

    /// Waits until every ingest says this of itself.
    async fn becomes(&self, state: &str) {
        for (office, ingest) in self.site.offices.iter().zip(&self.ingests) {
            let url = format!("http://{}/readyz", ingest.metrics_address());
            let said = eventually(|| async {
                let answer = office.send(office.client().get(&url)).await;
                answer.text.contains(state).then_some(())
            });
            assert!(said.await.is_some(), "no {state:?}\n{}", ingest.log());
        }
    }

    /// Waits until the management API knows that all our connections are on one broker.
    async fn everybody_is_on(&self, node: usize) {
        let vhost = &self.site.broker;
        let path = format!("vhosts/{}/connections", vhost.name());
        let known = eventually(|| async {
            let connections = vhost.get(&path)?;
            let nodes = connections.as_array()?.iter().map(|connection| {
                let name = connection["node"].as_str();
                name.map(|name| self.cluster.named(name))
            });
            let nodes: Vec<_> = nodes.collect();
            (!nodes.is_empty() && nodes.iter().all(|found| *found == Some(node))).then_some(())
        });
        assert!(known.await.is_some(), "{:?}", vhost.get(&path));
    }
}

/// Which broker leads the queue of the webhooks.
fn leader(cluster: &Cluster, vhost: &Vhost) -> usize {
    let queue = vhost.get(&format!("queues/{}/calls.live", vhost.name())).unwrap();
    cluster.named(queue["leader"].as_str().unwrap())
}
