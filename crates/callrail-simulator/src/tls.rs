//! The API over TLS, with a certificate authority of its own, and a way there for programs that know no other address
//! than `CallRail`'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// `CallRail`'s own hosts, as far as this account plays them.
const HOSTS: [&str; 2] = ["api.callrail.com", "app.callrail.com"];

/// Where the API is for programs that come by the [`Tunnel`].
pub const CALLRAIL_ORIGIN: &str = "https://api.callrail.com";

/// More than any program sends before it is let through.
const LONGEST_HEAD: usize = 8 * 1024;

/// How long a client may take with that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes connections over TLS for an API that speaks HTTP.
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    authority: String,
}

impl TlsListener {
    /// Listens with a new authority and a certificate for this machine and for `CallRail`'s hosts.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let (authority, acceptor) = certify()?;
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            acceptor,
            authority,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The certificate of the authority, PEM: what a client must trust.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Passes on to the API whatever comes, for as long as it is polled.
    pub async fn serve(self, api: SocketAddr) {
        // A connection that breaks ends by itself.
        while let Ok((client, _)) = self.listener.accept().await {
            tokio::spawn(pass_on(self.acceptor.clone(), client, api));
        }
    }
}

async fn pass_on(acceptor: TlsAcceptor, client: TcpStream, api: SocketAddr) -> io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut api = TcpStream::connect(api).await?;
    copy_bidirectional(&mut client, &mut api).await?;
    Ok(())
}

/// An HTTP proxy that leads to the account whoever wants to `CallRail`, and nobody anywhere else.
pub struct Tunnel {
    listener: TcpListener,
}

impl Tunnel {
    /// Listens.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Leads to a [`TlsListener`] whoever comes, for as long as it is polled.
    pub async fn serve(self, tls: SocketAddr) {
        while let Ok((client, _)) = self.listener.accept().await {
            tokio::spawn(lead(client, tls));
        }
    }
}

async fn lead(mut client: TcpStream, tls: SocketAddr) -> io::Result<()> {
    let head = timeout(PATIENCE, head(&mut client)).await??;
    let is_callrail = |host| head.starts_with(&format!("CONNECT {host}:443 "));
    if !HOSTS.into_iter().any(is_callrail) {
        let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes()).await;
    }
    let mut tls = TcpStream::connect(tls).await?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await?;
    copy_bidirectional(&mut client, &mut tls).await?;
    Ok(())
}

/// The request up to the empty line, after which the client waits.
async fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 || head.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An authority, and a server that it vouches for.
fn certify() -> anyhow::Result<(String, TlsAcceptor)> {
    let mut of_authority = CertificateParams::new(Vec::new())?;
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    of_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    of_authority
        .distinguished_name
        .push(DnType::CommonName, "Simulated CallRail");
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate()?)?;

    let names = HOSTS.iter().chain(&["localhost"]).map(|name| (*name).to_owned());
    let mut of_server = CertificateParams::new(names.collect::<Vec<_>>())?;
    let this_machine = IpAddr::V4(Ipv4Addr::LOCALHOST);
    of_server.subject_alt_names.push(SanType::IpAddress(this_machine));
    of_server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = of_server.signed_by(&key, &authority)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
        )?;
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(config))))
}
