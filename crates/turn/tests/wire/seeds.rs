//! Replay of failed properties: the seed is printed, and nothing is written into the source tree.

use std::any::Any;
use std::fmt::Debug;

use proptest::test_runner::{Config, FailurePersistence, PersistedSeed};

/// Environment variable with a printed seed, with which each property begins.
const VARIABLE: &str = "WIRE_SEED";

/// Cases of every property, which take a second or two in a debug build.
const CASES: u32 = 4096;

/// Returns the configuration of every property in this target.
pub(crate) fn config() -> Config {
    let default = Config::default();
    let cases = default.cases.max(CASES);
    Config { cases, failure_persistence: Some(Box::new(PrintSeeds)), ..default }
}

#[derive(Debug)]
struct PrintSeeds;

impl FailurePersistence for PrintSeeds {
    fn load_persisted_failures2(&self, _: Option<&'static str>) -> Vec<PersistedSeed> {
        let given = std::env::var(VARIABLE).ok();
        given.iter().map(|seed| seed.parse().unwrap_or_else(|()| panic!("{VARIABLE}: not a seed"))).collect()
    }

    fn save_persisted_failure2(&mut self, _: Option<&'static str>, seed: PersistedSeed, _: &dyn Debug) {
        // The line is correct even if this run is itself a replay.
        eprintln!("replay with: {VARIABLE}='{seed}' cargo test --test wire");
    }

    fn box_clone(&self) -> Box<dyn FailurePersistence> {
        Box::new(Self)
    }

    fn eq(&self, other: &dyn FailurePersistence) -> bool {
        other.as_any().is::<Self>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
