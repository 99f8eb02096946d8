//! How a failed property is replayed: its seed is printed, and nothing is written into the source
//! tree.

use std::any::Any;
use std::fmt::Debug;

use proptest::test_runner::{Config, FailurePersistence, PersistedSeed};

/// Holds a seed that was printed; each property then begins with it.
const VARIABLE: &str = "WIRE_SEED";

/// Cases of every property: what a second or two is good for in a debug build.
const CASES: u32 = 4096;

/// The configuration of every property here.
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
        // The same run may have been a replay already; the line is right all the same.
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
