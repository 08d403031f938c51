//! Passwords: kept as Argon2id, made and checked one at a time.
//!
//! Memory is what makes guessing expensive, and memory is what a small board lacks. 7 MiB and five passes is the smallest
//! of the settings that OWASP's password storage cheat sheet counts as equal (7168 KiB, t=5, p=1): a sign-in answers
//! within 70 to 110 ms on a busy core of the machine that this was written on; on a Pi it was not run yet.
//! A board with less room for queries takes less memory and more passes. The block is counted against the budget of
//! queries while it exists, and a second attempt waits for the first, so that no number of sign-ins exceeds it.

use super::secret::{hex, is_equal, random, unhex};
use argon2::{Algorithm, Argon2, Params, Version};
use bramble_runtime::{Budget, Reservation};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Least characters of a password.
pub(super) const CHARACTERS_MIN: usize = 10;
/// Most bytes of a password: longer ones are an attack on the hash's first pass.
pub(super) const BYTES_MAX: usize = 256;

const MEMORY_KIB: u32 = 7168;
const MEMORY_KIB_MIN: u32 = 1024;
const PASSES: u32 = 5;
const PASSES_MAX: u32 = 35;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Attempts that may wait for their turn; more are told to come again.
const WAITING_MAX: usize = 4;
/// How long an attempt waits for its turn, and for memory.
const WAIT: Duration = Duration::from_secs(10);
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PasswordRecord {
    memory_kib: u32,
    passes: u32,
    salt: String,
    hash: String,
}

/// Why a password was neither found good nor bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unchecked {
    /// Others are being checked, or queries hold the memory: try again.
    Busy,
    /// The system has no randomness, or the record is none.
    Broken,
}

/// Makes and checks records, one at a time.
pub(super) struct Passwords {
    budget: Budget,
    turn: Arc<Semaphore>,
    places: Semaphore,
}

impl Passwords {
    /// `budget` is what the memory is counted against.
    pub(super) fn new(budget: Budget) -> Self {
        Passwords { budget, turn: Arc::new(Semaphore::new(1)), places: Semaphore::new(WAITING_MAX) }
    }

    /// A record of `password`.
    ///
    /// # Errors
    /// [`Unchecked`].
    pub(super) async fn record(&self, password: &str) -> Result<PasswordRecord, Unchecked> {
        let quarter_kib = u32::try_from(self.budget.limit_bytes() / 4 / 1024).unwrap_or(u32::MAX);
        let memory_kib = quarter_kib.clamp(MEMORY_KIB_MIN, MEMORY_KIB);
        let passes = (PASSES * MEMORY_KIB / memory_kib).clamp(PASSES, PASSES_MAX);
        let salt = random::<SALT_BYTES>().map_err(|_| Unchecked::Broken)?;
        let hash = self.hashed(password, salt.to_vec(), memory_kib, passes).await?;
        Ok(PasswordRecord { memory_kib, passes, salt: hex(&salt), hash })
    }

    /// Whether `password` is the one of `record`. Takes as long when it is not.
    ///
    /// # Errors
    /// [`Unchecked`].
    pub(super) async fn is_password(&self, password: &str, record: &PasswordRecord) -> Result<bool, Unchecked> {
        let salt = unhex(&record.salt).ok_or(Unchecked::Broken)?;
        let (memory_kib, passes) = (record.memory_kib.min(MEMORY_KIB), record.passes.min(PASSES_MAX));
        let hash = self.hashed(password, salt, memory_kib, passes).await?;
        Ok(is_equal(&hash, &record.hash))
    }

    async fn hashed(&self, password: &str, salt: Vec<u8>, memory_kib: u32, passes: u32) -> Result<String, Unchecked> {
        let _place = self.places.try_acquire().map_err(|_| Unchecked::Busy)?;
        let turn = tokio::time::timeout(WAIT, self.turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Unchecked::Busy)?.map_err(|_| Unchecked::Broken)?;
        let memory = self.memory(memory_kib as usize * 1024).await?;
        let password = password.to_owned();
        let work = move || {
            // Both live as long as the thread works, also when the client has gone away.
            let _held = (turn, memory);
            argon(&password, &salt, memory_kib, passes)
        };
        tokio::task::spawn_blocking(work).await.ok().flatten().ok_or(Unchecked::Broken)
    }

    /// Room for the block. Where the whole budget is smaller than a record that was made with more, its owner must still
    /// get in: then it is taken beyond the budget.
    async fn memory(&self, bytes: usize) -> Result<Reservation, Unchecked> {
        let began = std::time::Instant::now();
        loop {
            match self.budget.reserve(bytes) {
                Ok(memory) => return Ok(memory),
                Err(_) if self.budget.limit_bytes() < bytes => {
                    let mut memory = self.budget.reserve(0).map_err(|_| Unchecked::Busy)?;
                    memory.force_resize(bytes);
                    return Ok(memory);
                }
                Err(_) if began.elapsed() >= WAIT => return Err(Unchecked::Busy),
                Err(_) => tokio::time::sleep(MEMORY_PAUSE).await,
            }
        }
    }
}

fn argon(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<String> {
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).ok()?;
    let mut hash = [0; HASH_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), salt, &mut hash).ok()?;
    Some(hex(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let budget = Budget::standalone(BudgetName::Query, 32 << 20);
        let passwords = Passwords::new(budget.clone());
        let record = passwords.record("a long password").await.unwrap();
        assert_eq!((record.memory_kib, record.passes), (MEMORY_KIB, PASSES));
        assert_eq!(passwords.is_password("a long password", &record).await, Ok(true));
        assert_eq!(passwords.is_password("a long passwore", &record).await, Ok(false));
        assert_eq!(budget.used_bytes(), 0, "memory is given back");
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("password"), "{text}");
    }

    #[tokio::test]
    async fn a_small_board_trades_memory_for_passes_and_can_read_records_of_a_large_one() {
        let small = Passwords::new(Budget::standalone(BudgetName::Query, 4 << 20));
        let record = small.record("a long password").await.unwrap();
        assert_eq!((record.memory_kib, record.passes), (1024, 35));
        let large = Passwords::new(Budget::standalone(BudgetName::Query, 32 << 20));
        let record = large.record("a long password").await.unwrap();
        assert_eq!(small.is_password("a long password", &record).await, Ok(true));
    }

    #[tokio::test]
    async fn more_than_a_few_at_once_are_told_to_come_again() {
        let passwords = Passwords::new(Budget::standalone(BudgetName::Query, 32 << 20));
        let all = futures_util::future::join_all((0..8).map(|_| passwords.record("a long password"))).await;
        let busy = all.iter().filter(|one| matches!(one, Err(Unchecked::Busy))).count();
        assert_eq!(busy, 8 - WAITING_MAX, "{all:?}");
    }

    /// RFC 9106, section 5.3, has more inputs than we use; this vector is of the reference implementation's test program:
    /// argon2id, version 19, t=2, m=256 KiB, p=1, "password", "somesalt".
    #[test]
    fn it_is_argon2id() {
        assert_eq!(
            argon("password", b"somesalt", 256, 2).unwrap(),
            "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"
        );
    }
}
