//! Plan: the file that says which nodes meet when.
//!
//! ION's text form or JSON, told apart by the first character; times that begin with `+` count
//! from the moment at which it is read. What the file has beside contacts and ranges is
//! named in the log and ignored.

use std::path::Path;

use anyhow::{Context, ensure};
use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::graph::{Graph, GraphConfig};
use longhaul_dtn::routing::plan::{Plan, PlanLimits};
use longhaul_dtn::routing::spray::{Copies, TransferNumber};
use longhaul_dtn::time::Timestamp;

use super::agent::RoutingConfig;
use crate::shell::clock;

/// How bundles for one other node find their way.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Who meets whom and when; what it has no route for is sprayed.
    pub plan: Option<Plan>,
    /// Copies of a bundle that comes without.
    pub copies: Copies,
}

impl Routing {
    pub(super) fn config(&self) -> RoutingConfig {
        let graph = self.plan.as_ref().map(|plan| Graph::new(plan, GraphConfig::default()));
        let next_transfer = TransferNumber(clock::now().dtn_ms());
        RoutingConfig { graph, copies: self.copies, next_transfer }
    }
}

/// Reads the contact plan of `node` from a file, at `now`.
pub fn read(file: &Path, node: &EndpointId, now: Timestamp) -> anyhow::Result<Plan> {
    let limits = PlanLimits::default();
    let size = std::fs::metadata(file).with_context(|| format!("open {}", file.display()))?.len();
    ensure!(
        size <= limits.bytes_max as u64,
        "{} has {size} bytes; a contact plan has at most {}",
        file.display(),
        limits.bytes_max
    );
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let plan = parse(&text, now, &limits).with_context(|| format!("read {}", file.display()))?;
    ensure!(
        plan.nodes().contains(&node.node()),
        "the contact plan in {} has no contact of this node, {node}: add its contacts, or leave out --plan",
        file.display()
    );
    Ok(plan)
}

fn parse(text: &str, now: Timestamp, limits: &PlanLimits) -> anyhow::Result<Plan> {
    if text.trim_start().starts_with('{') {
        return Ok(Plan::read_json(text, now, limits)?);
    }
    let file = Plan::read_ion(text, now, limits)?;
    for ignored in &file.ignored {
        let (line, command, why) = (ignored.line, &ignored.command, ignored.why);
        tracing::warn!(line, command, %why, "ignored in the contact plan");
    }
    Ok(file.plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ION: &str = "a contact +0 +3600 dtn://a/ dtn://b/ 100000\n";
    const JSON: &str = r#"{"contacts": [{"from": "dtn://a/", "to": "dtn://b/", "start": "+0",
        "end": "+3600", "rate_bytes_per_s": 100000}], "ranges": []}"#;

    fn read_text(name: &str, text: &str, node: &str) -> anyhow::Result<Plan> {
        let file =
            std::env::temp_dir().join(format!("longhaul-plan-{name}-{}", std::process::id()));
        std::fs::write(&file, text).expect("a temporary file");
        let plan = read(&file, &node.parse().expect("an id"), Timestamp::from_dtn_ms(1 << 40));
        std::fs::remove_file(&file).expect("our own file");
        plan
    }

    #[test]
    fn both_forms_say_the_same() {
        let ion = read_text("ion", ION, "dtn://a/").expect("a plan");
        assert_eq!(read_text("json", JSON, "dtn://b/").expect("a plan"), ion);
        assert_eq!(ion.contacts().len(), 1);
    }

    #[test]
    fn a_plan_without_this_node_and_a_file_without_a_plan_are_refused() {
        for (name, text, says) in
            [("other", ION, "dtn://c/"), ("bad", "a contact 1", "bad"), ("open", "{", "open")]
        {
            let error = read_text(name, text, "dtn://c/").expect_err(name);
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
        let missing =
            read(Path::new("/none"), &"dtn://a/".parse().expect("an id"), Timestamp::default());
        assert!(missing.expect_err("no file").to_string().contains("/none"));
    }
}
