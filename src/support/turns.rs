//! The turns in a recurring gift's life: what is different between two readings of it, and what that is worth.
//!
//! Nobody tells us "this gift was changed" reliably: events come late, twice or never. So a turn is what two readings
//! differ in, found in the transaction that replaces one by the other. Each is written once, because the next reading
//! is held against the new row.

use crate::money::Money;
use crate::support::{Frequency, Gift, GiftState};

/// What has happened to a gift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub enum Turn {
    /// It has begun: the first payment is there or on its way.
    Begun,
    /// A renewal was refused.
    Failing,
    /// A renewal came after all.
    Recovered,
    /// The giver paused it.
    Paused,
    /// The pause is over.
    Resumed,
    /// Another amount, or another rhythm.
    Changed,
    /// It is to end on a day.
    Ends,
    /// It is not to end any more.
    GoesOn,
    /// It has ended.
    Ended,
}

impl Turn {
    /// What staff read.
    pub fn title(self) -> &'static str {
        match self {
            Turn::Begun => "Begun",
            Turn::Failing => "A payment failed",
            Turn::Recovered => "Recovered",
            Turn::Paused => "Paused",
            Turn::Resumed => "Goes on after a pause",
            Turn::Changed => "Changed",
            Turn::Ends => "Is to end",
            Turn::GoesOn => "Is not to end any more",
            Turn::Ended => "Ended",
        }
    }
}

/// How a gift stood at a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How often.
    pub frequency: Frequency,
    /// How much each time.
    pub money: Money,
    /// Where in its life.
    pub state: GiftState,
    /// Whether it is to end.
    pub ends: bool,
}

impl Standing {
    /// What it brings in a month, in minor units: a twelfth of an annual gift, rounded down, and nothing while it is
    /// paused or over.
    pub fn worth(&self) -> i64 {
        match self.state {
            GiftState::Active | GiftState::Failing => monthly(self.frequency, self.money.minor),
            GiftState::Pending | GiftState::Paused | GiftState::Ended => 0,
        }
    }
}

impl From<&Gift> for Standing {
    fn from(gift: &Gift) -> Standing {
        Standing { frequency: gift.frequency, money: gift.money, state: gift.state, ends: gift.ends_at.is_some() }
    }
}

/// What an amount given so often comes to in a month, in minor units.
pub fn monthly(frequency: Frequency, minor: i64) -> i64 {
    if frequency == Frequency::Annual { minor / 12 } else { minor }
}

/// The turns between two readings, in the order in which they must have happened, each with the change of its monthly
/// worth. The worths of all turns of a gift add up to what it is worth now.
///
/// `began` is whether it ever had a first payment, there or on its way: one that was given up before that has no life.
pub fn between(before: Option<Standing>, after: Standing, began: bool) -> Vec<(Turn, i64)> {
    let mut life = match before.filter(|before| before.state != GiftState::Pending) {
        Some(before) => Life { at: before, turns: Vec::new() },
        None if !began || after.state == GiftState::Pending => return Vec::new(),
        // Seen for the first time, perhaps long after: it began as an active gift, whatever it is by now.
        None => {
            let begun = Standing { state: GiftState::Active, ends: false, ..after };
            Life { at: begun, turns: vec![(Turn::Begun, begun.worth())] }
        }
    };
    // Nothing follows an end, and nothing that has begun waits to begin.
    if life.at.state == GiftState::Ended || after.state == GiftState::Pending {
        return life.turns;
    }
    if (life.at.frequency, life.at.money) != (after.frequency, after.money) {
        life.turn(Turn::Changed, Standing { frequency: after.frequency, money: after.money, ..life.at });
    }
    if life.at.state != after.state {
        let turn = match (life.at.state, after.state) {
            (_, GiftState::Ended) => Turn::Ended,
            (_, GiftState::Paused) => Turn::Paused,
            (_, GiftState::Failing) => Turn::Failing,
            (GiftState::Paused, _) => Turn::Resumed,
            _ => Turn::Recovered,
        };
        life.turn(turn, Standing { state: after.state, ..life.at });
    }
    if life.at.ends != after.ends && after.state != GiftState::Ended {
        let turn = if after.ends { Turn::Ends } else { Turn::GoesOn };
        life.turn(turn, Standing { ends: after.ends, ..life.at });
    }
    life.turns
}

/// Where a gift is, and the turns that led there.
struct Life {
    at: Standing,
    turns: Vec<(Turn, i64)>,
}

impl Life {
    fn turn(&mut self, turn: Turn, to: Standing) {
        self.turns.push((turn, to.worth() - self.at.worth()));
        self.at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn gift(state: GiftState, minor: i64) -> Standing {
        let money = Money::new(minor, Currency::from_code("USD").unwrap());
        Standing { frequency: Frequency::Monthly, money, state, ends: false }
    }

    #[test]
    fn the_first_reading_begins_a_life_even_when_it_is_over_already() {
        assert_eq!(between(None, gift(GiftState::Active, 500), true), [(Turn::Begun, 500)]);
        assert_eq!(between(None, gift(GiftState::Ended, 500), true), [(Turn::Begun, 500), (Turn::Ended, -500)]);
        assert_eq!(between(None, gift(GiftState::Pending, 500), false), []);
        assert_eq!(between(Some(gift(GiftState::Pending, 500)), gift(GiftState::Ended, 500), false), []);
        assert_eq!(
            between(Some(gift(GiftState::Pending, 500)), gift(GiftState::Active, 500), true),
            [(Turn::Begun, 500)]
        );
    }

    #[test]
    fn the_same_reading_again_is_no_turn() {
        for state in [GiftState::Active, GiftState::Failing, GiftState::Paused, GiftState::Ended] {
            assert_eq!(between(Some(gift(state, 500)), gift(state, 500), true), []);
        }
    }

    #[test]
    fn all_turns_add_up_to_what_a_gift_is_worth() {
        let states = [GiftState::Pending, GiftState::Active, GiftState::Failing, GiftState::Paused, GiftState::Ended];
        let mut before = None;
        let mut sum = 0;
        let mut random = 7_u32;
        for _ in 0..500 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut after = gift(states[(random >> 16) as usize % 4], 100 * i64::from(1 + (random >> 20) % 5));
            after.frequency = if random & 1 << 30 == 0 { Frequency::Monthly } else { Frequency::Annual };
            after.ends = random & 1 << 29 == 0;
            if before.is_some() && after.state == GiftState::Pending {
                continue;
            }
            sum +=
                between(before, after, after.state != GiftState::Pending).iter().map(|(_, worth)| worth).sum::<i64>();
            before = (after.state != GiftState::Pending).then_some(after);
            assert_eq!(sum, before.map_or(0, |gift| gift.worth()));
        }
    }

    #[test]
    fn a_smaller_gift_of_another_rhythm_that_fails_is_two_turns() {
        let annual = Standing { frequency: Frequency::Annual, ..gift(GiftState::Failing, 2_500) };
        let turns = between(Some(gift(GiftState::Active, 500)), annual, true);
        assert_eq!(turns, [(Turn::Changed, 208 - 500), (Turn::Failing, 0)]);
    }
}
