//! libsystemd's journal reader, opened at run time: a machine without systemd needs no library, and ours links to none.
//!
//! All `unsafe` of this crate's sources is here. A [`Journal`] stays on the thread that opened it (sd_journal(3): an object is
//! used by one thread).

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

/// The name that libsystemd has had since 2013.
const LIBRARY: &str = "libsystemd.so.0";
/// `SD_JOURNAL_LOCAL_ONLY`.
const LOCAL_ONLY: c_int = 1;

/// An open journal, as the library sees it.
type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident = $symbol:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The library's functions.
        #[derive(Clone, Copy)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            #[expect(unsafe_code, reason = "symbols of a C library have no types")]
            fn load(library: &Library) -> Result<Functions, libloading::Error> {
                Ok(Functions {
                    // SAFETY: the types are those that systemd/sd-journal.h declares for these names, stable since they were
                    // introduced (all before version 246, but `enumerate_available_data`).
                    $($name: *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }?,)*
                })
            }
        }
    };
}

functions! {
    open = "sd_journal_open": fn(*mut Handle, c_int) -> c_int;
    open_directory = "sd_journal_open_directory": fn(*mut Handle, *const c_char, c_int) -> c_int;
    open_files = "sd_journal_open_files": fn(*mut Handle, *const *const c_char, c_int) -> c_int;
    close = "sd_journal_close": fn(Handle) -> ();
    add_match = "sd_journal_add_match": fn(Handle, *const c_void, usize) -> c_int;
    seek_head = "sd_journal_seek_head": fn(Handle) -> c_int;
    seek_cursor = "sd_journal_seek_cursor": fn(Handle, *const c_char) -> c_int;
    seek_realtime = "sd_journal_seek_realtime_usec": fn(Handle, u64) -> c_int;
    test_cursor = "sd_journal_test_cursor": fn(Handle, *const c_char) -> c_int;
    next = "sd_journal_next": fn(Handle) -> c_int;
    get_realtime = "sd_journal_get_realtime_usec": fn(Handle, *mut u64) -> c_int;
    get_cursor = "sd_journal_get_cursor": fn(Handle, *mut *mut c_char) -> c_int;
    restart_data = "sd_journal_restart_data": fn(Handle) -> ();
    enumerate_data = "sd_journal_enumerate_available_data": fn(Handle, *mut *const c_void, *mut usize) -> c_int;
    set_data_threshold = "sd_journal_set_data_threshold": fn(Handle, usize) -> c_int;
    wait = "sd_journal_wait": fn(Handle, u64) -> c_int;
}

/// Which journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum JournalPlace {
    /// The machine's own, persistent and volatile.
    #[default]
    Local,
    /// All files in a directory and its directories.
    Directory(PathBuf),
    /// These files, which need not be growing.
    Files(Vec<PathBuf>),
}

/// Why there is no journal to read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No systemd here, or one before version 246 (2020).
    #[error("libsystemd cannot be used: {0}")]
    Library(String),
    /// The journal cannot be opened or read.
    #[error("journal: {0}")]
    Read(#[from] io::Error),
    /// There is no entry that we may see.
    #[error(
        "journal: no entries; is systemd-journald running, and may this user read its files (group systemd-journal)?"
    )]
    Empty,
}

/// An open journal.
pub(super) struct Journal {
    functions: Functions,
    /// C's `free`, for texts that the library hands over.
    free: unsafe extern "C" fn(*mut c_void),
    handle: Handle,
    /// Not unloaded while functions of it may be called.
    _library: Library,
}

/// The result of a function: a negative number is an error's.
fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

impl Journal {
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn open(place: &JournalPlace) -> Result<Journal, JournalError> {
        let library_error = |error: libloading::Error| JournalError::Library(error.to_string());
        // SAFETY: libsystemd has no initialisers that depend on anything of ours.
        let library = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL) }.map_err(library_error)?;
        let functions = Functions::load(&library).map_err(library_error)?;
        // SAFETY: `free` is C's in every process that has a C library, which ours has, and libsystemd allocates with it.
        let free =
            *unsafe { Library::this().get::<unsafe extern "C" fn(*mut c_void)>(b"free\0") }.map_err(library_error)?;
        let mut handle = ptr::null_mut();
        let result = match place {
            // SAFETY: `handle` is where the library puts its pointer.
            JournalPlace::Local => unsafe { (functions.open)(&mut handle, LOCAL_ONLY) },
            JournalPlace::Directory(path) => {
                let path = c_path(path)?;
                // SAFETY: as above; `path` ends with NUL and is copied by the library.
                unsafe { (functions.open_directory)(&mut handle, path.as_ptr(), 0) }
            }
            JournalPlace::Files(paths) => {
                let paths = paths.iter().map(|path| c_path(path)).collect::<io::Result<Vec<_>>>()?;
                let mut pointers: Vec<*const c_char> = paths.iter().map(|path| path.as_ptr()).collect();
                pointers.push(ptr::null());
                // SAFETY: as above; the list ends with a null pointer and outlives the call.
                unsafe { (functions.open_files)(&mut handle, pointers.as_ptr(), 0) }
            }
        };
        checked(result)?;
        if handle.is_null() {
            return Err(io::Error::other("no journal was opened").into());
        }
        Ok(Journal { functions, free, handle, _library: library })
    }

    /// Only entries that have this `FIELD=value`; several of one field are alternatives.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn add_match(&mut self, text: &[u8]) -> io::Result<()> {
        // SAFETY: the handle is open; the bytes are copied.
        checked(unsafe { (self.functions.add_match)(self.handle, text.as_ptr().cast(), text.len()) }).map(drop)
    }

    /// Longer values are cut off where that saves reading them; in bytes.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn set_value_bytes_max(&mut self, bytes: usize) -> io::Result<()> {
        // SAFETY: the handle is open.
        checked(unsafe { (self.functions.set_data_threshold)(self.handle, bytes) }).map(drop)
    }

    /// Before the first entry.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn seek_head(&mut self) -> io::Result<()> {
        // SAFETY: the handle is open.
        checked(unsafe { (self.functions.seek_head)(self.handle) }).map(drop)
    }

    /// Before the first entry that is not older than this, in microseconds since the epoch.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn seek_realtime(&mut self, realtime_us: u64) -> io::Result<()> {
        // SAFETY: the handle is open.
        checked(unsafe { (self.functions.seek_realtime)(self.handle, realtime_us) }).map(drop)
    }

    /// Goes to the entry of a cursor and says whether it is there; if not, we are somewhere else.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn go_to(&mut self, cursor: &str) -> io::Result<bool> {
        let cursor = CString::new(cursor).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the handle is open; the text ends with NUL.
        let found = checked(unsafe { (self.functions.seek_cursor)(self.handle, cursor.as_ptr()) });
        // What is no cursor at all is nowhere.
        let is_cursor = found.map(|_| true).or_else(|error| match error.kind() {
            io::ErrorKind::InvalidInput => Ok(false),
            _ => Err(error),
        })?;
        if !is_cursor || !self.next()? {
            return Ok(false);
        }
        // SAFETY: as above, and the handle is at an entry.
        Ok(checked(unsafe { (self.functions.test_cursor)(self.handle, cursor.as_ptr()) })? > 0)
    }

    /// Goes to the next entry; false at the end.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn next(&mut self) -> io::Result<bool> {
        // SAFETY: the handle is open.
        Ok(checked(unsafe { (self.functions.next)(self.handle) })? > 0)
    }

    /// When the entry was received by journald, in microseconds since the epoch.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn realtime_us(&mut self) -> io::Result<u64> {
        let mut time = 0;
        // SAFETY: the handle is open; `time` is where the library puts the number.
        checked(unsafe { (self.functions.get_realtime)(self.handle, &mut time) })?;
        Ok(time)
    }

    /// The name of the entry's place.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn cursor(&mut self) -> io::Result<String> {
        let mut text: *mut c_char = ptr::null_mut();
        // SAFETY: the handle is open; `text` is where the library puts a pointer to a text that is ours then.
        checked(unsafe { (self.functions.get_cursor)(self.handle, &mut text) })?;
        if text.is_null() {
            return Err(io::Error::other("no cursor"));
        }
        // SAFETY: the library's text ends with NUL and nobody else has it.
        let cursor = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: it was allocated with malloc (sd_journal_get_cursor(3)) and is not used any more.
        unsafe { (self.free)(text.cast()) };
        Ok(cursor)
    }

    /// Calls `each` with every `NAME=value` of the entry until it says no.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn for_each_field(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        // SAFETY: the handle is open.
        unsafe { (self.functions.restart_data)(self.handle) };
        loop {
            let (mut data, mut length) = (ptr::null(), 0usize);
            // SAFETY: the handle is open; the library puts a pointer and a length there.
            let result = checked(unsafe { (self.functions.enumerate_data)(self.handle, &mut data, &mut length) })?;
            if result == 0 || data.is_null() {
                return Ok(());
            }
            // SAFETY: the library's bytes are valid and unchanged until the next call with this handle, which `each` cannot
            // make: it has no access to it.
            let field = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
            if !each(field) {
                return Ok(());
            }
        }
    }

    /// Waits for new entries, rotation, or the end of the time.
    #[expect(unsafe_code, reason = "calls into a C library")]
    pub(super) fn wait(&mut self, time_max: Duration) -> io::Result<()> {
        let microseconds = u64::try_from(time_max.as_micros()).unwrap_or(u64::MAX - 1);
        // SAFETY: the handle is open.
        checked(unsafe { (self.functions.wait)(self.handle, microseconds) }).map(drop)
    }
}

impl Drop for Journal {
    #[expect(unsafe_code, reason = "calls into a C library")]
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used any more.
        unsafe { (self.functions.close)(self.handle) };
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
