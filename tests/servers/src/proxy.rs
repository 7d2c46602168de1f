//! Stands between a client and its server, and does to the connection what networks and servers do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a port may stay taken that is to be free.
const PATIENCE: Duration = Duration::from_secs(30);

/// Passes everything on, until it is told otherwise.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    orders: broadcast::Sender<Order>,
    frozen: watch::Sender<bool>,
    listening: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
enum Order {
    Cut,
    Say(Arc<[u8]>),
}

impl Proxy {
    /// On a free port.
    pub async fn to(server: String) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), server, None).await
    }

    /// At this address. Dropped and listening again it is, to the client, a server that was away.
    pub async fn listen(address: SocketAddr, server: String, tls: Option<TlsAcceptor>) -> Self {
        let binding = async {
            loop {
                // The kernel may still hold on to a port that was used before.
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let listener = timeout(PATIENCE, binding).await.expect("the port stays taken");
        let (orders, _) = broadcast::channel(16);
        let (frozen, is_frozen) = watch::channel(false);
        let address = listener.local_addr().unwrap();
        let listening = tokio::spawn({
            let orders = orders.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (server, tls, is_frozen) = (server.clone(), tls.clone(), is_frozen.clone());
                    let orders = orders.subscribe();
                    tokio::spawn(async move {
                        let Ok(server) = TcpStream::connect(server).await else {
                            return;
                        };
                        match tls {
                            None => pass_on(client, server, orders, is_frozen).await,
                            Some(tls) => {
                                if let Ok(client) = tls.accept(client).await {
                                    pass_on(client, server, orders, is_frozen).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self {
            address,
            orders,
            frozen,
            listening,
        }
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        // Fails when there are none.
        let _ = self.orders.send(Order::Cut);
    }

    /// While it is frozen, nothing of what the server says arrives.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Says something in the name of the server, on every connection; to be used when the server says nothing itself.
    pub fn say(&self, bytes: &[u8]) {
        assert!(self.orders.send(Order::Say(bytes.into())).is_ok());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn pass_on(
    client: impl AsyncRead + AsyncWrite,
    server: TcpStream,
    mut orders: broadcast::Receiver<Order>,
    mut frozen: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::io::copy(&mut from_client, &mut to_server);
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                order = orders.recv() => match order {
                    Ok(Order::Say(bytes)) => {
                        to_client.write_all(&bytes).await?;
                        continue;
                    }
                    _ => 0,
                },
                read = from_server.read(&mut buffer), if !*frozen.borrow() => read?,
                changed = frozen.changed() => {
                    if changed.is_err() { 0 } else { continue }
                }
            };
            if read == 0 {
                return Ok::<_, std::io::Error>(());
            }
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    // One way closed closes both.
    tokio::select! {
        _ = there => {}
        _ = back => {}
    }
}
