//! Any text as a file of the boot partition: the first byte chooses which. What is taken of it is valid, and can be written.
#![no_main]

use bramble_appliance::first_boot::{Report, cloud_init, firstrun, imager, settings, single, valid, wpa};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(body) else { return };
    let mut report = Report::default();
    let wishes = match first {
        b't' => settings::parse(text, &mut report),
        b'h' => single::hostname(text, &mut report),
        b'k' => single::authorized_keys(text, &mut report),
        b'w' => single::wifi(text, &mut report),
        b'p' => single::wpa_supplicant(text, &mut report),
        b'i' => imager::parse(text, &mut report),
        b'f' => firstrun::parse(text, &mut report),
        b'u' => cloud_init::parse_user_data(text, &mut report),
        _ => cloud_init::parse_network(text, &mut report),
    };
    if let Some(name) = &wishes.hostname {
        assert_eq!(valid::hostname(name).as_ref(), Ok(name));
    }
    if let Some(settings) = &wishes.settings {
        // The user's own words over ours are TOML again.
        let merged = settings::merge("[doors]\nmain = 80\n", Some(settings), &[("node", "token", "x")]);
        if let Ok(merged) = merged {
            assert!(settings::merge(&merged, None, &[]).is_ok(), "{merged}");
        }
    }
    for key in &wishes.ssh_keys {
        assert!(!key.contains('\n') && valid::ssh_key(key).is_ok(), "{key:?}");
    }
    let written = wpa::write(&wishes.wifi, wishes.country.as_deref());
    let again = wpa::parse(&written, "again", &mut Report::default());
    assert!(again.wifi == wishes.wifi && again.country == wishes.country, "{written}");
    assert!(report.problems.iter().chain(&report.took).all(|line| line.len() < 4096));
});
