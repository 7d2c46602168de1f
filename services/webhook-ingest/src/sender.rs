//! Who sends: the address behind the proxies that are trusted, and how often it may be told that its signature fails.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// So many failures of one address are told, and logged, in each [`WINDOW`].
const MAX_FAILURES: u32 = 100;

/// The span over which failures are counted.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// So many addresses are counted in one [`WINDOW`]; when more fail, the rest are as if they had failed too often.
const MAX_ADDRESSES: usize = 10_000;

/// The proxies in front of us, whose `X-Forwarded-For` is believed: anybody else could write there what he likes.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The text is no list of addresses and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not addresses or networks such as 10.0.0.0/8,192.168.1.2")]
pub struct InvalidProxies;

impl FromStr for TrustedProxies {
    type Err = InvalidProxies;

    fn from_str(text: &str) -> Result<Self, InvalidProxies> {
        let network = |item: &str| {
            let address = item.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| item.parse()).map_err(|_| InvalidProxies)
        };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    /// The last address on the way here that none of the proxies has.
    fn sender(&self, request: &HttpRequest) -> IpAddr {
        let peer = request.peer_addr().map(|address| address.ip());
        self.behind(peer.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), request.headers())
    }

    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut sender = peer.to_canonical();
        for hop in forwarded.into_iter().rev() {
            let Ok(before) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            if !self.0.iter().any(|network| network.contains(&sender)) {
                break;
            }
            sender = before.to_canonical();
        }
        sender
    }
}

/// Counts failed signatures by address. A delivery whose signature holds never comes here, so whoever shares an
/// address with a nuisance loses nothing.
pub(crate) struct FailedSignatures {
    proxies: TrustedProxies,
    counted: Mutex<Option<Counted>>,
}

struct Counted {
    since: Instant,
    by_sender: HashMap<IpAddr, u32>,
}

impl FailedSignatures {
    pub(crate) fn new(proxies: TrustedProxies) -> Self {
        Self {
            proxies,
            counted: Mutex::new(None),
        }
    }

    /// Counts one more. Returns whether it is to be told; else its sender has failed too often for now.
    pub(crate) fn is_to_be_told(&self, request: &HttpRequest) -> bool {
        self.count(self.proxies.sender(request), Instant::now())
    }

    fn count(&self, sender: IpAddr, now: Instant) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |counted: &Counted| now.duration_since(counted.since) >= WINDOW;
        if counted.as_ref().is_none_or(is_over) {
            *counted = None;
        }
        let by_sender = &mut counted
            .get_or_insert_with(|| Counted {
                since: now,
                by_sender: HashMap::new(),
            })
            .by_sender;
        let sender = household(sender);
        if by_sender.len() >= MAX_ADDRESSES && !by_sender.contains_key(&sender) {
            return false;
        }
        let failures = by_sender.entry(sender).or_default();
        *failures = failures.saturating_add(1);
        *failures <= MAX_FAILURES
    }
}

/// Whoever has one address of IPv6 has the 2⁶⁴ beside it.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn behind(proxies: &str, peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(value),
            );
        }
        let proxies: TrustedProxies = proxies.parse().unwrap();
        proxies.behind(ip(peer), &headers).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_says_of_the_sender_is_believed() {
        for (proxies, peer, forwarded, sender) in [
            ("", "203.0.113.7", &["198.51.100.1"][..], "203.0.113.7"),
            ("10.0.0.0/8", "203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.0/8",
                "10.1.2.3",
                &["1.1.1.1, 198.51.100.1"],
                "198.51.100.1",
            ),
            (
                "10.0.0.0/8",
                "10.1.2.3",
                &["1.1.1.1", "198.51.100.1, 10.9.9.9"],
                "198.51.100.1",
            ),
            ("10.0.0.0/8", "10.1.2.3", &["10.9.9.9"], "10.9.9.9"),
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.1, unknown"], "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3", &[], "10.1.2.3"),
            (
                "fd00::/8, 127.0.0.1",
                "127.0.0.1",
                &["2001:db8::1"],
                "2001:db8::1",
            ),
        ] {
            assert_eq!(
                behind(proxies, peer, forwarded),
                sender,
                "{proxies} {peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["10.0.0.0/33", "proxy.example.com", "10.0.0.1 10.0.0.2", "*"] {
            assert!(wrong.parse::<TrustedProxies>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_fails_too_often_is_told_no_more_until_the_window_ends() {
        let (failed, began) = (FailedSignatures::new(TrustedProxies::default()), Instant::now());
        let told = |sender: &str, after: Duration| failed.count(ip(sender), began + after);
        for _ in 0..MAX_FAILURES {
            assert!(told("203.0.113.7", Duration::ZERO));
        }
        let late = WINDOW.checked_sub(Duration::from_millis(1)).unwrap();
        assert!(!told("203.0.113.7", late));
        assert!(told("203.0.113.8", late));
        assert!(told("203.0.113.7", WINDOW));
    }

    #[test]
    fn neighbours_in_ipv6_are_one_sender() {
        let (failed, now) = (FailedSignatures::new(TrustedProxies::default()), Instant::now());
        for last in 0..MAX_FAILURES {
            assert!(failed.count(ip(&format!("2001:db8::{last:x}")), now));
        }
        assert!(!failed.count(ip("2001:db8::ffff:1"), now));
        assert!(failed.count(ip("2001:db8:0:1::1"), now));
    }

    #[test]
    fn however_many_addresses_fail_few_are_remembered() {
        let (failed, now) = (FailedSignatures::new(TrustedProxies::default()), Instant::now());
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..MAX_ADDRESSES {
            assert!(failed.count(address(number), now));
        }
        assert!(!failed.count(address(MAX_ADDRESSES), now));
        assert!(failed.count(address(0), now));
    }
}
