//! Where a request comes from. Anybody can write an `X-Forwarded-For`, so it counts only as far as
//! the proxies that `--trusted-proxies` names vouch for it: the last address that is none of them.

use actix_web::{HttpRequest, http::header::HeaderMap, web};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// More proxies than anybody has behind each other.
const MAX_HOPS: usize = 20;

/// The networks of the proxies whose word counts.
pub struct TrustedProxies(pub Vec<IpNet>);

/// The address of whoever sent a request; None for what has none.
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let trusted = request.app_data::<web::Data<TrustedProxies>>();
    let trusted = trusted.map_or(&[][..], |trusted| &trusted.0);
    Some(told_by_trusted(peer, request.headers(), trusted))
}

fn told_by_trusted(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let lines: Vec<_> =
        headers.get_all(FORWARDED_FOR).filter_map(|line| line.to_str().ok()).collect();
    // Every proxy writes whom it heard behind what it was told: read from the end.
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(MAX_HOPS) {
        if !is_trusted(&client) {
            break;
        }
        match address_of(hop.trim()) {
            Some(address) => client = address.to_canonical(),
            None => break,
        }
    }
    client
}

/// `10.0.0.1`, `10.0.0.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = TestRequest::get();
        for line in forwarded {
            request = request.append_header((FORWARDED_FOR, *line));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let request = request.to_http_request();
        told_by_trusted(peer.parse().unwrap(), request.headers(), &trusted).to_string()
    }

    #[test]
    fn what_a_stranger_writes_does_not_count() {
        assert_eq!(client("203.0.113.9", &["10.0.0.1"], &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", &["10.0.0.1"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_counts() {
        let ours = &["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.9"], ours), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 10.0.0.2"], ours), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "203.0.113.9:4711"], ours), "203.0.113.9");
        assert_eq!(client("fd00::1", &["[2001:db8::1]:80"], ours), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.9"], ours), "203.0.113.9");
    }

    #[test]
    fn what_cannot_be_read_stops_at_the_proxy_that_sent_it() {
        let ours = &["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["203.0.113.9, unknown"], ours), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[], ours), "10.0.0.1");
    }
}
