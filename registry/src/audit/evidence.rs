//! Evidence of a term, for people and programs: every input of an epoch with its weight and why.

use std::fmt;

use longhaul_aggregation::{Epoch, Evidence, InputVerdict, VoidReason};
use serde::Serialize;

use crate::manifest::Manifest;

/// What a term is made of; serialises to JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceReport {
    /// The epochs that share the term.
    pub epochs: Vec<u32>,
    /// The name of the recipe.
    pub recipe: String,
    /// The rule, as on the command line.
    pub rule: String,
    /// Attackers assumed among the authors.
    pub attackers_assumed: usize,
    /// Authors whose slots are void.
    pub voids: usize,
    /// For each cohort that counts, its authors and the attackers that its rule bears.
    pub cohorts: Vec<(usize, usize)>,
    /// Every slot filled.
    pub inputs: Vec<InputReport>,
    /// The name of the term's entries; none if nothing counts.
    pub term: Option<String>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputReport {
    /// The author's place in the manifest.
    pub member: u16,
    /// The author.
    pub peer: String,
    /// The epoch of the slot.
    pub epoch: u32,
    /// `counted`, `waiting`, `void-twin` or `void-chain`.
    pub verdict: &'static str,
    /// The header, where the slot counts.
    pub header: Option<String>,
    /// Its cohort, where it counts.
    pub cohort: Option<usize>,
    /// Its weight in its cohort's mean, 0 to 2; nothing where it does not count.
    pub weight: f64,
    /// The share of parameters at which a rule within columns kept it, in thousandths.
    pub kept_permille: Option<u16>,
    /// Why it weighs what it weighs.
    pub why: String,
}

impl EvidenceReport {
    /// The report on a fold's evidence.
    pub fn of(evidence: &Evidence, manifest: &Manifest) -> Self {
        let input = |input: &longhaul_aggregation::InputEvidence| {
            let member = input.slot.member;
            let mut report = InputReport {
                member: member.get(),
                peer: manifest.member(member).map_or_else(String::new, |it| it.to_string()),
                epoch: input.slot.epoch.get(),
                verdict: "waiting",
                header: None,
                cohort: None,
                weight: 0.0,
                kept_permille: None,
                why: "its cohort is too small and not vouched for".to_owned(),
            };
            match input.verdict {
                InputVerdict::Counted { header, cohort, influence } => {
                    report.verdict = "counted";
                    report.header = Some(header.to_string());
                    report.cohort = Some(cohort);
                    report.weight = influence.weight as f64 / f64::from(1_u32 << 30);
                    report.kept_permille = influence.kept_permille;
                    report.why = why(influence);
                }
                InputVerdict::Waiting => {}
                InputVerdict::Void(VoidReason::Twin) => {
                    report.verdict = "void-twin";
                    report.why = "two different updates in one slot".to_owned();
                }
                InputVerdict::Void(VoidReason::Chain) => {
                    report.verdict = "void-chain";
                    report.why = "a header of its author denies it".to_owned();
                }
            }
            report
        };
        Self {
            epochs: evidence.epochs.iter().map(|it| it.get()).collect(),
            recipe: evidence.recipe.to_string(),
            rule: manifest.recipe.rule.to_string(),
            attackers_assumed: evidence.attackers_assumed,
            voids: evidence.voids,
            cohorts: evidence.cohorts.iter().map(|it| (it.authors, it.attackers_borne)).collect(),
            inputs: evidence.inputs.iter().map(input).collect(),
            term: evidence.term.map(|term| term.to_string()),
        }
    }
}

fn why(influence: longhaul_aggregation::Influence) -> String {
    let part = |left: i64, what: &str| {
        let left = left as f64 / 65_536.0;
        (left < 1.0).then(|| format!("{what} to {left:.3}"))
    };
    let parts = [
        part(influence.clip, "clipped"),
        part(influence.staleness, "weighed by staleness"),
        part(influence.samples, "weighed by samples"),
        (influence.weight == 0).then(|| "the rule gives it nothing".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "as it is".to_owned() } else { parts.join(", ") }
}

/// What to say where an epoch has no term.
pub(super) fn missing(epoch: Epoch) -> String {
    format!("epoch {epoch} has no term here: it is empty, below the quorum, or sealed")
}

impl fmt::Display for EvidenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs: Vec<String> = self.epochs.iter().map(ToString::to_string).collect();
        writeln!(f, "epochs     {}", epochs.join(", "))?;
        writeln!(f, "recipe     {} ({})", self.recipe, self.rule)?;
        let (assumed, voids) = (self.attackers_assumed, self.voids);
        writeln!(f, "attackers  {assumed} assumed, {voids} proven and void")?;
        for (number, (authors, borne)) in self.cohorts.iter().enumerate() {
            writeln!(f, "cohort {number}   {authors} authors, of whom {borne} may attack")?;
        }
        writeln!(f, "term       {}", self.term.as_deref().unwrap_or("nothing counts"))?;
        writeln!(f, "  member  epoch  verdict     weight   kept  why")?;
        self.inputs.iter().try_for_each(|it| {
            let kept = it.kept_permille.map_or_else(|| "-".to_owned(), |it| format!("{it}/1000"));
            writeln!(
                f,
                "  {:>6}  {:>5}  {:<10}  {:.4}  {kept:>9}  {}",
                it.member, it.epoch, it.verdict, it.weight, it.why
            )
        })
    }
}
