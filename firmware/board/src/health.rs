//! How the rest of Bramble does, as far as a light can tell it.

/// Digits of the code that lets somebody become the owner.
pub(crate) const SETUP_DIGITS: usize = 6;

/// The code that lets somebody become the owner: six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupCode([u8; SETUP_DIGITS]);

impl SetupCode {
    /// The code as people read it; `None` unless it is exactly six decimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; SETUP_DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then(|| SetupCode(digits.map(|digit| digit - b'0')))
    }

    /// Its digits, each 0 to 9.
    pub fn digits(self) -> [u8; SETUP_DIGITS] {
        self.0
    }
}

/// What is true at present; several may be. By default all is well but nothing has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What was acknowledged before is there again, and data is taken in.
    pub is_ready: bool,
    /// The disk refuses writes, or is full.
    pub storage_failing: bool,
    /// A node reaches none of its hubs.
    pub hub_unreachable: bool,
    /// Data or queries are turned away for want of memory or time.
    pub overloaded: bool,
    /// An update is being written.
    pub updating: bool,
    /// There is no owner yet; this code makes one.
    pub setup_code: Option<SetupCode>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits() {
        assert_eq!(SetupCode::parse("012349").map(SetupCode::digits), Some([0, 1, 2, 3, 4, 9]));
        for text in ["", "12345", "1234567", "12a456", "１２", "-12345", "12 456"] {
            assert_eq!(SetupCode::parse(text), None, "{text:?}");
        }
    }
}
