use super::cycles;
use super::*;
use bramble_disk::{SimulatedDisk, SimulatedOptions};

fn simulated(options: SimulatedOptions) -> Arc<SimulatedDisk> {
    Arc::new(SimulatedDisk::new(7, options))
}

/// Opens the same simulated disk again and again; a restart in which nothing is lost.
fn opener(disk: &Arc<SimulatedDisk>) -> impl Fn() -> Result<Arc<dyn Disk>, DiskError> + use<> {
    let disk = disk.clone();
    move || Ok(disk.clone() as Arc<dyn Disk>)
}

#[test]
fn a_sound_machine_passes_and_nothing_is_left_of_the_test() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(SCRATCH)).unwrap();
    std::fs::write(directory.path().join(SCRATCH).join("left by one that was killed"), "x").unwrap();
    let mut report = Report::default();
    run(directory.path(), &mut report);
    assert_eq!(report.problems(), 0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn it_runs_beside_a_bramble_that_has_the_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (_disk, _) = open_disk(directory.path(), DiskChoice::Threads).unwrap();
    let mut report = Report::default();
    run(directory.path(), &mut report);
    assert_eq!(report.problems(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_a_problem_not_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut report = Report::default();
    run(&file.join("below"), &mut report);
    assert_eq!(report.problems(), 1);
    assert!(report.outcome().is_err());
}

#[test]
fn bits_that_rot_show_in_each_cycle() {
    let rotting = || simulated(SimulatedOptions { bit_rot_chance: 1.0, ..SimulatedOptions::default() });
    assert!(matches!(cycles::files(&opener(&rotting())), Err(Fault::Different(_))));
    assert!(cycles::commits(&opener(&rotting())).is_err());
    assert!(cycles::published(&opener(&rotting())).is_err());
}

#[test]
fn a_disk_that_fails_or_is_full_shows_with_its_own_words() {
    let failing = simulated(SimulatedOptions { sync_error_chance: 1.0, ..SimulatedOptions::default() });
    assert!(cycles::files(&opener(&failing)).unwrap_err().to_string().contains("simulated I/O error"));
    assert!(latency::measure(&(failing as Arc<dyn Disk>)).is_err());
    let full = simulated(SimulatedOptions { capacity_bytes: 1 << 20, ..SimulatedOptions::default() });
    assert!(matches!(cycles::files(&opener(&full)), Err(Fault::Disk(DiskError::Full { .. }))));
}

#[test]
fn a_card_that_lies_about_syncs_shows_when_a_restart_is_a_power_cut() {
    let disk = simulated(SimulatedOptions { lie_about_sync: true, ..SimulatedOptions::default() });
    let again = disk.clone();
    let cutting = move || {
        again.reboot();
        Ok(again.clone() as Arc<dyn Disk>)
    };
    assert!(cycles::files(&cutting).is_err());
}

#[test]
fn the_simulated_disk_without_faults_passes() {
    let disk = simulated(SimulatedOptions::default());
    cycles::files(&opener(&disk)).unwrap();
    cycles::commits(&opener(&disk)).unwrap();
    cycles::published(&opener(&disk)).unwrap();
}
