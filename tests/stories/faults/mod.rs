//! Everything that can go wrong while an issue goes out really goes wrong here, and a mail server that writes down what it
//! accepted is the judge ([`crate::judge`]): nobody is skipped; nobody gets it twice beyond what `delivery/mod.rs` grants;
//! and the delivery page tells the truth at each moment at which somebody would look at it.
//!
//! With `FRIDAY_TEST_FAULTS=long` some stories are told at length, in real seconds: they take minutes.

mod answers;
mod away;
mod crash;
mod database;
mod desk;
mod disk;
mod proxy;
mod relays;
mod wire;

use std::io::Write;

/// Connections of the stories in which it matters how many there are.
const LINES: usize = 10;

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how long they may take")]
fn long() -> bool {
    std::env::var("FRIDAY_TEST_FAULTS").is_ok_and(|value| value == "long")
}

/// One line about a story told at length. The test runner keeps only what is printed by macros to itself.
fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// xorshift64*: the same seed tells the same story, as far as the machine does.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// With a new seed, which a story that fails prints.
    fn new() -> Random {
        let seed = friday::db::new_id().unsigned_abs();
        println!("the seed is {seed}");
        Random { seed, state: seed | 1 }
    }

    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }
}
