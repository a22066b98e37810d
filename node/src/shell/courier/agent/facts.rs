//! Facts: what an agent has to know of a bundle, read from its bytes once.

use longhaul_dtn::bpv7::{
    BlockFlags, BlockType, Bundle, BundleError, BundleKey as Identity, EndpointId, Extension,
    Limits,
};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::tcpcl::RefuseReason;
use longhaul_dtn::time::{Span, Timestamp};

use super::copies::{self, COPIES, Share};
use crate::shell::bundles::BundleKey;

/// The block that tells a federation's updates from other bundles (docs/wire.md).
const UPDATE_HEADER: BlockType = BlockType::from_code(192);
/// The hash context of [`key_of`].
const KEY_CONTEXT: &str = "longhaul 2026 node bundle identity v2";
/// Blocks that belong to a bundle and are the same all its way: what an update's own signature is about,
/// and signatures and ciphers of BPSec.
const LASTING: [BlockType; 4] =
    [UPDATE_HEADER, BlockType::from_code(193), BlockType::INTEGRITY, BlockType::CONFIDENTIALITY];
/// The hash context of [`NodeNumber::of`].
const NODE_CONTEXT: &str = "longhaul 2026 node neighbour number v2";

/// What an agent knows of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Names the bundle.
    pub key: BundleKey,
    /// The node that it is for.
    pub destination: NodeNumber,
    /// The same by its id.
    pub destination_id: EndpointId,
    /// True when it is for many: a group of RFC 9758, or the members of a federation.
    pub is_group: bool,
    /// The copies that come with it, where its giver counts them.
    pub share: Option<Share>,
    /// When it expires.
    pub expires: Timestamp,
    /// Its length in bytes.
    pub bytes: u64,
    /// True when it may take no further hop.
    pub is_spent: bool,
}

/// Stands for a node: 16 bytes of a hash of its id, so that the same node has the same number in every run.
/// It says who a bundle is for and ends its way, so that nobody may find a name with another's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeNumber(u128);

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not a bundle.
    #[error("not a bundle: {0}")]
    Malformed(#[from] BundleError),
    /// Its lifetime is over.
    #[error("the bundle is expired")]
    Expired,
    /// It is for another node and may take no further hop.
    #[error("the bundle has taken all its hops")]
    Spent,
    /// A block asks for the bundle to be deleted where the block is not known.
    #[error("block {0} is unknown here and asks for the bundle to be deleted")]
    Unknown(u64),
    /// The quota is used by bundles that still have to go somewhere.
    #[error("the quota is used up by bundles that still have to go somewhere: raise --quota")]
    Quota,
    /// The part of the quota that bundles of strangers have is used up.
    #[error(
        "bundles of nodes that are not believed use up their half of the quota: raise --quota, or name the giver with --allow"
    )]
    Share,
    /// Delivered bundles use the quota up, or the part of it that those of strangers have.
    #[error("delivered bundles use up their part of the quota: take them away, or raise --quota")]
    Untaken,
}

impl Unfit {
    /// What to tell the neighbour: only a full quota is worth another try.
    pub const fn reason(&self) -> RefuseReason {
        match self {
            Self::Quota | Self::Share | Self::Untaken => RefuseReason::NO_RESOURCES,
            _ => RefuseReason::NOT_ACCEPTABLE,
        }
    }
}

impl NodeNumber {
    /// Stands for ourselves; no node has it.
    pub const OURS: Self = Self(0);
    /// Stands for all strangers: who gave a bundle was not believed. No node has it.
    pub const STRANGER: Self = Self(1);

    /// The number of an endpoint's node.
    pub fn of(endpoint: &EndpointId) -> Self {
        let hash = ContentHash::derive(NODE_CONTEXT, endpoint.node().to_string().as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has more than sixteen bytes");
        Self(u128::from_be_bytes(*first).max(Self::STRANGER.0 + 1))
    }

    /// The number that the store keeps.
    pub const fn number(self) -> u128 {
        self.0
    }

    /// The node of a number that the store kept.
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }
}

impl Facts {
    /// Reads what came at `now`, to be kept for `keep_max` at most.
    pub fn read(
        bytes: &[u8],
        now: Timestamp,
        limits: &Limits,
        keep_max: Span,
    ) -> Result<Self, Unfit> {
        let bundle = Bundle::decode(bytes, limits)?;
        if let Some(block) = bundle.blocks().iter().find(|block| {
            !is_known(block.kind) && block.flags.has(BlockFlags::DELETE_BUNDLE_UNPROCESSED)
        }) {
            return Err(Unfit::Unknown(block.number));
        }
        let left = bundle.remaining(now, Span::default()).ok_or(Unfit::Expired)?.min(keep_max);
        let is_spent = matches!(
            bundle.extension(BlockType::HOP_COUNT),
            Some(Extension::HopCount { limit, count }) if count >= limit
        );
        Ok(Self {
            key: key_of(&bundle),
            destination: NodeNumber::of(&bundle.primary().destination),
            destination_id: bundle.primary().destination.node(),
            is_group: is_group(&bundle),
            share: copies::read(&bundle),
            expires: now.plus(left),
            bytes: bytes.len() as u64,
            is_spent,
        })
    }
}

/// True for a bundle that more than one node is to have.
fn is_group(bundle: &Bundle<'_>) -> bool {
    let demux = match &bundle.primary().destination {
        EndpointId::Dtn(name) => name.demux(),
        _ => "",
    };
    demux.starts_with('~') || bundle.blocks().iter().any(|block| block.kind == UPDATE_HEADER)
}

/// True for blocks that this node understands or carries without having to.
pub fn is_known(kind: BlockType) -> bool {
    [
        BlockType::PAYLOAD,
        BlockType::PREVIOUS_NODE,
        BlockType::BUNDLE_AGE,
        BlockType::HOP_COUNT,
        BlockType::INTEGRITY,
        BlockType::CONFIDENTIALITY,
        COPIES,
    ]
    .contains(&kind)
}

/// The name of a bundle: a hash of source, creation timestamp and for a fragment its place and length,
/// which tell bundles apart (RFC 9171 section 4.2.7), and of all else that does not change on the way. Nothing
/// proves who made a bundle, and so a forged one must not take the place of the real one, nor be
/// acknowledged for it: they have two names, and both are carried. An `ipn` id has one name in both its forms.
pub fn key_of(bundle: &Bundle<'_>) -> BundleKey {
    let Identity { source, created, fragment } = bundle.key();
    let primary = bundle.primary();
    let (flags, lifetime) = (primary.flags_written().bits(), primary.lifetime.ms());
    let payload = ContentHash::of(bundle.payload());
    let mut text = format!(
        "{source} {} {} {} {} {flags} {lifetime} {payload}",
        created.time.dtn_ms(),
        created.sequence,
        primary.destination,
        primary.report_to,
    );
    if let Some((place, len)) = fragment {
        text.push_str(&format!(" {} {} {len}", place.offset, place.total));
    }
    let lasting = bundle.blocks().iter().filter(|block| LASTING.contains(&block.kind));
    let mut blocks: Vec<_> = lasting
        .map(|block| (block.kind.code(), ContentHash::of(bundle.data(block)).to_string()))
        .collect();
    blocks.sort_unstable();
    for (kind, hash) in blocks {
        text.push_str(&format!(" {kind}:{hash}"));
    }
    BundleKey::from_bytes(*ContentHash::derive(KEY_CONTEXT, text.as_bytes()).as_bytes())
}
