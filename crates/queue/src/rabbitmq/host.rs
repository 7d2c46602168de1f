//! One host of a `RabbitMQ` cluster, and the way to it.

use std::fmt;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::runtime::default_runtime;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;

use super::failure::Failure;
use crate::error::Cause;

/// A host with which there is no connection after so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds; a dead connection is noticed within twice this time.
const HEARTBEAT: u16 = 10;
/// Bytes; a longer body goes in several frames. Lapin keeps 32 of them for each direction of each connection, which with the
/// 128 KiB that `RabbitMQ` offers is most of the memory of a small process. `RabbitMQ` 4.1 asks for 8 KiB at least.
const FRAME_MAX: u32 = 16 * 1024;

/// Where to connect, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Host {
    uri: AMQPUri,
    /// Without user and password.
    shown: String,
}

/// A broker as its management has to know it.
#[derive(Clone)]
pub struct Broker {
    /// A name or an address, as it stands in URLs.
    pub host: String,
    /// Whether it is spoken to by TLS.
    pub has_tls: bool,
    /// As whom.
    pub user: String,
    /// His.
    pub password: String,
    /// Where our queues are.
    pub vhost: String,
}

/// A connection, cut when this is dropped.
pub(super) struct Wire {
    pub(super) connection: Connection,
    socket: Socket,
}

/// The socket below a connection. Lapin has no other way to end a connection whose other side says nothing: its thread
/// would wait for ever.
#[derive(Default)]
struct Socket(Arc<Mutex<SocketState>>);

#[derive(Default)]
enum SocketState {
    #[default]
    Missing,
    Open(std::net::TcpStream),
    Cut,
}

impl Host {
    pub(crate) fn broker(&self) -> Broker {
        let AMQPAuthority { userinfo, host, .. } = &self.uri.authority;
        Broker {
            host: bracketed(host),
            has_tls: self.uri.scheme == AMQPScheme::AMQPS,
            user: userinfo.username.clone(),
            password: userinfo.password.clone(),
            vhost: self.uri.vhost.clone(),
        }
    }

    /// Connects and logs in. `name` is what the broker shows of this connection.
    pub(super) async fn connect(&self, tls: &OwnedTLSConfig, name: &str) -> Result<Wire, Failure> {
        let failed = |source: Cause| Failure::CannotConnect {
            host: self.shown.clone(),
            source,
        };
        let socket = Socket::default();
        let connecting = Connection::connector(
            self.uri.clone(),
            default_runtime().map_err(|error| failed(Arc::new(error)))?,
            {
                let (tls, socket) = (tls.clone(), Arc::clone(&socket.0));
                async move |uri: AMQPUri, runtime| {
                    // This is lapin's own thread.
                    silence_this_thread();
                    let reaching = async {
                        let without_tls = AMQPUri {
                            scheme: AMQPScheme::AMQP,
                            ..uri.clone()
                        };
                        let plain = AMQPUriTcpExt::connect_async(&without_tls, &runtime).await?;
                        if let AsyncTcpStream::Plain(stream) = &plain {
                            keep(&socket, stream.get_ref().as_fd().try_clone_to_owned()?.into());
                        }
                        match uri.scheme {
                            AMQPScheme::AMQP => Ok(plain),
                            AMQPScheme::AMQPS => plain.into_tls(&uri.authority.host, tls.as_ref()).await,
                        }
                    };
                    let reached = timeout(PATIENCE, reaching).await;
                    Ok(reached.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?)
                }
            },
            ConnectionProperties::default().with_connection_name(name.into()),
        );
        match timeout(PATIENCE, connecting).await {
            Ok(Ok(connection)) => Ok(Wire { connection, socket }),
            Ok(Err(error)) => Err(failed(Arc::new(error))),
            Err(_) => Err(failed(Arc::new(Failure::Mute(PATIENCE)))),
        }
    }
}

impl Wire {
    /// Parts in peace, as far as the broker answers soon.
    pub(super) async fn close(&self) {
        // When it fails there is nothing left to close.
        let _ = timeout(PATIENCE, self.connection.close(200, "bye".into())).await;
        self.socket.cut();
    }
}

impl Socket {
    fn cut(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Open(socket) = std::mem::replace(&mut *state, SocketState::Cut) {
            // Fails when the other side was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Notes the socket, or cuts it when nobody wants it any more.
fn keep(state: &Mutex<SocketState>, socket: std::net::TcpStream) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*state, SocketState::Cut) {
        let _ = socket.shutdown(Shutdown::Both);
    } else {
        *state = SocketState::Open(socket);
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scheme = match text.split_once("://") {
            Some(("amqp", _)) => AMQPScheme::AMQP,
            Some(("amqps", _)) => AMQPScheme::AMQPS,
            _ => {
                return Err(
                    "every address must begin with amqp:// or amqps:// (a comma in a password is %2C)",
                );
            }
        };
        let url = url::Url::parse(text)
            .map_err(|_| "not an address of the form amqp://USER:PASSWORD@HOST:PORT/VHOST")?;
        let host = match url.host() {
            Some(url::Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            _ => return Err("the host is missing"),
        };
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        let vhost = match url.path().strip_prefix('/').unwrap_or_default() {
            "" => "/".to_owned(),
            vhost => decoded(vhost)?,
        };
        let or_guest = |text: &str| match text {
            "" => Ok("guest".to_owned()),
            text => decoded(text),
        };
        let userinfo = AMQPUserInfo {
            username: or_guest(url.username())?,
            password: or_guest(url.password().unwrap_or_default())?,
        };
        let mut heartbeat = HEARTBEAT;
        for (key, value) in url.query_pairs() {
            match (&*key, value.parse()) {
                ("heartbeat", Ok(seconds)) if seconds > 0 => heartbeat = seconds,
                ("heartbeat", _) => return Err("heartbeat must be a number of seconds"),
                _ => return Err("an amqp address has no parameters but heartbeat"),
            }
        }
        let encoded: String = url::form_urlencoded::byte_serialize(vhost.as_bytes()).collect();
        Ok(Self {
            shown: format!("{scheme}://{}:{port}/{encoded}", bracketed(&host)),
            uri: AMQPUri {
                scheme,
                authority: AMQPAuthority { userinfo, host, port },
                vhost,
                query: AMQPQueryString {
                    heartbeat: Some(heartbeat),
                    frame_max: Some(FRAME_MAX),
                    ..AMQPQueryString::default()
                },
            },
        })
    }
}

impl fmt::Debug for Broker {
    /// Leaves user and password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("host", &self.host)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Host {
    /// Never shows credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Host {
    /// Never shows credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

/// As it stands in URLs.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| "user, password and virtual host must be UTF-8")
}

/// Lapin writes a returned message into the log, body and all, and bodies are personal data. Whatever else it says on
/// its thread comes to us as errors too.
fn silence_this_thread() {
    let silence = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    // For as long as the thread lives.
    std::mem::forget(silence);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> AMQPUri {
        text.parse::<Host>().map_err(str::to_owned).unwrap().uri
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let uri = parsed("amqp://localhost");
        assert_eq!(
            (uri.authority.host.as_str(), uri.authority.port),
            ("localhost", 5672)
        );
        assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("/", Some(10)));
        assert_eq!(uri.authority.userinfo.username, "guest");
        assert_eq!(parsed("amqps://localhost/").authority.port, 5671);
        assert_eq!(parsed("amqps://localhost/").vhost, "/");
    }

    #[test]
    fn names_are_percent_decoded() {
        let uri = parsed("amqp://a%40b:p%2F%3A%2C@host:1/my%2Fvhost?heartbeat=30");
        assert_eq!(uri.authority.userinfo.username, "a@b");
        assert_eq!(uri.authority.userinfo.password, "p/:,");
        assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("my/vhost", Some(30)));
    }

    #[test]
    fn an_ip_address_is_a_host() {
        assert_eq!(parsed("amqp://127.0.0.1").authority.host, "127.0.0.1");
        assert_eq!(parsed("amqp://[::1]:5").authority.host, "::1");
        assert_eq!(
            "amqp://[::1]".parse::<Host>().unwrap().to_string(),
            "amqp://[::1]:5672/%2F"
        );
    }
}
