//! How a session ends, and who the other side of it is.

use std::fmt;
use std::io;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::CloseCause;

use super::places::NoPlace;
use crate::shell::courier::trust::{Evidence, Standing, Trust};
use crate::shell::plain;

/// Why a session is over.
#[derive(Debug)]
pub(super) enum End {
    /// The session says so.
    Closed(CloseCause),
    /// The connection broke.
    Broken(io::Error),
    /// The other side hung up.
    Gone,
    /// The other side is another node than the one that was wanted.
    Stranger(Option<EndpointId>),
    /// Nothing proves that the other side is the node that it says, and we insist.
    Unproven(EndpointId),
    /// The certificate of the other side names another node.
    Disagrees(String),
    /// It is a stranger, and the places left are for others.
    NoPlace(NoPlace),
    /// TLS failed.
    Insecure(rustls::Error),
    /// The other side began a bundle and was too slow, or took nothing of ours, for too long.
    Stalled,
    /// Nobody drives the carrier any more.
    Abandoned,
}

/// The node of a node id; some write `dtn://name` without the slash behind it.
pub(super) fn node_of(text: &str) -> Option<EndpointId> {
    text.parse().or_else(|_| format!("{text}/").parse()).ok().map(|id: EndpointId| id.node())
}

/// The node that the other side claims to be, if that is believed, and what it counts as; an error where
/// it is not the one that we dialled.
pub(super) fn judge(
    claimed: Option<EndpointId>,
    wanted: Option<&EndpointId>,
    names: &[String],
    evidence: &Evidence,
    trust: &Trust,
) -> Result<(Option<EndpointId>, Standing), End> {
    let fits = |wanted: &EndpointId| claimed.as_ref().is_some_and(|it| it.is_same(wanted));
    if !wanted.is_none_or(fits) {
        return Err(End::Stranger(claimed));
    }
    let Some(node) = claimed else { return Ok((None, Standing::Stranger)) };
    let is_same = |name: &String| node_of(name).is_some_and(|it| it.is_same(&node));
    if let Some(name) = names.first().filter(|_| !names.iter().any(is_same)) {
        return Err(End::Disagrees(name.clone()));
    }
    match trust.standing(evidence, &node) {
        Standing::Neighbour => Ok((Some(node), Standing::Neighbour)),
        // Whom we dialled must be whom we meant.
        _ if evidence.from.is_none() => Err(End::Unproven(node)),
        Standing::Itself => Ok((Some(node), Standing::Itself)),
        Standing::Stranger => Ok((None, Standing::Stranger)),
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(cause) => write!(f, "{cause}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Gone => f.write_str("the other side hung up"),
            Self::Stranger(Some(node)) => {
                write!(f, "another node answers: {}", plain::brief(&node.to_string()))
            }
            Self::Stranger(None) => f.write_str("the other side does not say who it is"),
            Self::Unproven(node) => {
                let node = plain::brief(&node.to_string());
                write!(
                    f,
                    "nothing proves that the other side is {node}; name its key with --allow, or the node behind its address"
                )
            }
            Self::Disagrees(name) => {
                write!(f, "the certificate is that of {}", plain::brief(name))
            }
            Self::NoPlace(why) => write!(f, "{why}"),
            Self::Insecure(error) => write!(f, "TLS failed: {}", plain::brief(&error.to_string())),
            Self::Stalled => f.write_str("a bundle under way stood still, or came too slowly"),
            Self::Abandoned => f.write_str("the courier ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_says_moves_no_cursor() {
        let said = End::Disagrees("dtn://\x1b[2J\r\nok\u{202e}/".to_owned()).to_string();
        assert!(said.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{said:?}");
        let long = End::Disagrees("a".repeat(60_000)).to_string();
        assert!(long.len() < 200, "{}", long.len());
    }

    #[test]
    fn reads_node_ids_as_others_write_them() {
        let node = |text| node_of(text).map(|id| id.to_string());
        assert_eq!(node("dtn://b/"), Some("dtn://b/".to_owned()));
        assert_eq!(node("dtn://b"), Some("dtn://b/".to_owned()));
        assert_eq!(node("dtn://b/service"), Some("dtn://b/".to_owned()));
        assert_eq!(node("ipn:5.0"), Some("ipn:5.0".to_owned()));
        assert_eq!(node("b"), None);
    }
}
