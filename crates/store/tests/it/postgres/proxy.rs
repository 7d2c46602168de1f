//! A wire to the server that can be cut and mended: for the store it is as if the server went away.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::address;

pub(super) struct Wire {
    server: String,
    here: SocketAddr,
    carrying: Option<JoinHandle<()>>,
}

impl Wire {
    /// A wire to the server for tests.
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut wire = Self {
            server: host_and_port(),
            here: listener.local_addr().unwrap(),
            carrying: None,
        };
        wire.carry(listener);
        wire
    }

    /// The address of a database at the end of the wire.
    pub(super) fn address(&self, database: &str) -> String {
        address(database).replace(&format!("@{}/", self.server), &format!("@{}/", self.here))
    }

    /// Ends all connections and takes no new ones.
    pub(super) async fn cut(&mut self) {
        let carrying = self.carrying.take().unwrap();
        carrying.abort();
        let _ = carrying.await;
    }

    pub(super) async fn mend(&mut self) {
        let listener = TcpListener::bind(self.here).await.unwrap();
        self.carry(listener);
    }

    fn carry(&mut self, listener: TcpListener) {
        let server = self.server.clone();
        self.carrying = Some(tokio::spawn(async move {
            // Dropped, and so cut, with this task.
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut upstream = TcpStream::connect(&server).await.unwrap();
                connections
                    .spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut upstream).await });
            }
        }));
    }
}

fn host_and_port() -> String {
    let address = address("x");
    let behind_user = address.split_once('@').unwrap().1;
    behind_user.split_once('/').unwrap().0.to_owned()
}
