//! Listening: at addresses that nobody else listens at.
//!
//! The transport lets several sockets share a TCP port, so that dials can leave from it. Two
//! processes would then listen at one address, and the kernel would deal connections out between
//! them. So each address is dialled before: where somebody answers, it is taken. (To bind it without
//! sharing would say more, and refuse a port to which connections of an earlier run are bound still.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::NetError;

/// How long an address of this machine may take to answer; where it does not, it is free.
const ANSWER_MAX: Duration = Duration::from_millis(250);

/// Refuses addresses at which somebody listens already.
pub(in crate::shell) fn check(addresses: &[Multiaddr]) -> Result<(), NetError> {
    for address in addresses {
        if tcp(address).is_some_and(answers) {
            let why = "another process listens there".to_owned();
            return Err(NetError::Listen { address: address.clone(), why });
        }
    }
    Ok(())
}

fn answers(address: SocketAddr) -> bool {
    // One that stands for all of this machine is dialled at one of them.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let dialled = TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), ANSWER_MAX);
    // A dial that was given this very port finds itself.
    dialled.is_ok_and(|it| it.local_addr().ok() != it.peer_addr().ok())
}

/// Where a TCP address with a port of its own listens.
fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) if port > 0 => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("well-formed")
    }

    #[test]
    fn refuses_an_address_at_which_somebody_listens() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = other.local_addr().expect("it listens").port();
        let addresses =
            ["127.0.0.1", "0.0.0.0"].map(|ip| address(&format!("/ip4/{ip}/tcp/{port}")));
        for taken in &addresses {
            let error = check(std::slice::from_ref(taken)).expect_err("taken").to_string();
            assert_eq!(error, format!("cannot listen at {taken}: another process listens there"));
        }
        drop(other);
        check(&addresses).expect("free, and the check leaves it so");
    }

    #[test]
    fn asks_nothing_of_other_transports_and_of_ports_to_be_chosen() {
        for text in ["/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/0", "/dns4/a/tcp/1"] {
            assert_eq!(tcp(&address(text)), None, "{text}");
        }
        let tcp6 = tcp(&address("/ip6/::1/tcp/9"));
        assert_eq!(tcp6, "[::1]:9".parse().ok());
    }
}
