//! How a session ends, and who the other side of it is.

use std::fmt;
use std::io;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::CloseCause;

use crate::shell::courier::trust::{Evidence, Trust};

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
    /// TLS failed.
    Insecure(rustls::Error),
    /// The other side began a bundle and stood still, or took nothing of ours, for too long.
    Stalled,
    /// Nobody drives the carrier any more.
    Abandoned,
}

/// The node of a node id; some write `dtn://name` without the slash behind it.
pub(super) fn node_of(text: &str) -> Option<EndpointId> {
    text.parse().or_else(|_| format!("{text}/").parse()).ok().map(|id: EndpointId| id.node())
}

/// The node that the other side claims to be, if that is believed; an error where it is not the one
/// that we dialled.
pub(super) fn judge(
    claimed: Option<EndpointId>,
    wanted: Option<&EndpointId>,
    names: &[String],
    evidence: &Evidence,
    trust: &Trust,
) -> Result<Option<EndpointId>, End> {
    let fits = |wanted: &EndpointId| claimed.as_ref().is_some_and(|it| it.is_same(wanted));
    if !wanted.is_none_or(fits) {
        return Err(End::Stranger(claimed));
    }
    let Some(node) = claimed else { return Ok(None) };
    let is_same = |name: &String| node_of(name).is_some_and(|it| it.is_same(&node));
    if let Some(name) = names.first().filter(|_| !names.iter().any(is_same)) {
        return Err(End::Disagrees(name.clone()));
    }
    match trust.believes(evidence, &node) {
        true => Ok(Some(node)),
        // Whom we dialled must be whom we meant.
        false if evidence.from.is_none() => Err(End::Unproven(node)),
        false => {
            tracing::info!(%node, "nothing proves who this is: it may give and is given none");
            Ok(None)
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(cause) => write!(f, "{cause}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Gone => f.write_str("the other side hung up"),
            Self::Stranger(Some(node)) => write!(f, "another node answers: {node}"),
            Self::Stranger(None) => f.write_str("the other side does not say who it is"),
            Self::Unproven(node) => {
                write!(f, "nothing proves that the other side is {node}; name its key with --allow")
            }
            Self::Disagrees(name) => write!(f, "the certificate is that of {name}"),
            Self::Insecure(error) => write!(f, "TLS failed: {error}"),
            Self::Stalled => f.write_str("a bundle under way stood still"),
            Self::Abandoned => f.write_str("the courier ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
