//! SQLite's VFS over [`VfsFiles`].
//!
//! One VFS, `bramble`, is registered once per process and never removed. A database is opened under the path
//! `<mount>/<name>`, where the mount is a number given by [`mount`]; the VFS finds the files behind that number in
//! a table. So any number of simulated disks come and go without leaking a registration each.
//!
//! Locks do nothing here: the databases are used by one connection in `locking_mode=EXCLUSIVE`, which also keeps
//! the index of the write-ahead log on the heap, so that no shared memory is needed (interface version 1).
#![expect(unsafe_code, reason = "SQLite's VFS is a table of C functions over raw pointers")]

use crate::files::VfsFiles;
use parking_lot::Mutex;
use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

/// The name under which the VFS is registered.
pub(crate) const VFS_NAME: &CStr = c"bramble";

const PATH_BYTES_MAX: c_int = 128;

static MOUNTS: Mutex<BTreeMap<u64, Arc<dyn VfsFiles>>> = Mutex::new(BTreeMap::new());
static NEXT_MOUNT: AtomicU64 = AtomicU64::new(1);
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(1);

/// Makes `files` reachable for SQLite until the mount is dropped.
pub(crate) fn mount(files: Arc<dyn VfsFiles>) -> Mount {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(register);
    let number = NEXT_MOUNT.fetch_add(1, Ordering::Relaxed);
    MOUNTS.lock().insert(number, files);
    Mount(number)
}

/// A place in the table of mounts. Connections opened through it keep the files alive themselves.
pub(crate) struct Mount(u64);

impl Mount {
    /// The path under which SQLite opens `name` here.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        MOUNTS.lock().remove(&self.0);
    }
}

/// What SQLite allocates for an open file (`szOsFile` bytes): its own header, then our pointer.
#[repr(C)]
struct OpenFile {
    header: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    files: Arc<dyn VfsFiles>,
    name: String,
    delete_on_close: bool,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: VFS_NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: the structure is leaked, so it outlives every connection; it is not made the default.
    let result = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    debug_assert_eq!(result, ffi::SQLITE_OK, "registering fails only without memory or mutexes");
}

/// The files and name behind a path of ours; `None` for any other path.
fn resolve(path: &str) -> Option<(Arc<dyn VfsFiles>, &str)> {
    let (number, name) = path.split_once('/')?;
    let files = MOUNTS.lock().get(&number.parse().ok()?).cloned()?;
    Some((files, name))
}

/// # Safety
/// `path` must be null or a C string that stays valid for `'a`.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a str> {
    // SAFETY: not null, and a C string by the caller's promise.
    if path.is_null() { None } else { unsafe { CStr::from_ptr(path) }.to_str().ok() }
}

/// # Safety
/// `file` must be one that [`open`] filled and [`close`] has not seen; SQLite calls methods on no others, and
/// never on two threads at once for the same file.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: `open` set the pointer to a leaked box; only `close` takes it back.
    unsafe { &*(*file.cast::<OpenFile>()).handle }
}

fn code_of(error: &io::Error, otherwise: c_int) -> c_int {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ffi::SQLITE_FULL,
        io::ErrorKind::WouldBlock => ffi::SQLITE_BUSY,
        _ => otherwise,
    }
}

fn answer(result: io::Result<()>, otherwise: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => code_of(&error, otherwise),
    }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes `szOsFile` writable bytes, aligned for pointers; a null method table tells it not to
    // call `close` after a failed open.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: null or a C string that outlives the call.
    let path = unsafe { text(path) };
    let Some((files, name)) = path.and_then(resolve) else {
        // Temporary files live in memory (`temp_store=MEMORY`), so a file without a name is never asked for.
        return ffi::SQLITE_CANTOPEN;
    };
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let fresh = create && !files.exists(name).unwrap_or(true);
    // SQLite does not sync a new log's or database's entry in its directory through these functions, so that is
    // done here: a log that is synced but has no name is lost.
    let opened = files.open(name, create).and_then(|()| if fresh { files.sync(name) } else { Ok(()) });
    if let Err(error) = opened {
        files.close(name);
        return code_of(&error, ffi::SQLITE_CANTOPEN);
    }
    let delete_on_close = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
    let handle = Box::new(Handle { name: name.to_owned(), files, delete_on_close });
    // SAFETY: as above; `out_flags` is null or writable.
    unsafe {
        let open = file.cast::<OpenFile>();
        (*open).handle = Box::into_raw(handle);
        (*open).header.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` leaked this box; SQLite closes a file once and does not use it again.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    handle.files.close(&handle.name);
    if handle.delete_on_close {
        return answer(handle.files.delete(&handle.name, false), ffi::SQLITE_IOERR_DELETE);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: an open file; `out` has `amount` writable bytes, which are initialised here before they are lent.
    let (handle, out) = unsafe {
        ptr::write_bytes(out.cast::<u8>(), 0, amount as usize);
        (handle(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), amount as usize))
    };
    match handle.files.read(&handle.name, offset as u64, out) {
        Ok(n) if n == out.len() => ffi::SQLITE_OK,
        // The rest must be zeros, also if the implementation scribbled there.
        Ok(n) => {
            out.iter_mut().skip(n).for_each(|byte| *byte = 0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            out.fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: an open file; `data` has `amount` readable bytes.
    let (handle, data) = unsafe { (handle(file), std::slice::from_raw_parts(data.cast::<u8>(), amount as usize)) };
    answer(handle.files.write(&handle.name, offset as u64, data), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    answer(handle.files.truncate(&handle.name, size as u64), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    answer(handle.files.sync(&handle.name), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let size = match handle.files.size(&handle.name) {
        Ok(size) => size,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(_) => return ffi::SQLITE_IOERR_FSTAT,
    };
    // SAFETY: SQLite passes a writable integer.
    unsafe { *out = size as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a writable integer.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _operation: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    // What `VfsFiles::write` promises: a cut during a write harms no byte outside its range.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, path: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: a C string that outlives the call.
    let Some((files, name)) = (unsafe { text(path) }).and_then(resolve) else { return ffi::SQLITE_IOERR_DELETE };
    match files.delete(name, sync_directory != 0) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) if error.kind() == io::ErrorKind::NotFound => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(_) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(_vfs: *mut ffi::sqlite3_vfs, path: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a C string that outlives the call.
    let Some((files, name)) = (unsafe { text(path) }).and_then(resolve) else { return ffi::SQLITE_IOERR_ACCESS };
    // As in SQLite's own VFS, an empty log or journal counts as absent; other questions are about permissions,
    // which an existing file of ours has.
    let present = files
        .exists(name)
        .map(|exists| exists && (flags != ffi::SQLITE_ACCESS_EXISTS || files.size(name).is_ok_and(|size| size > 0)));
    let Ok(present) = present else { return ffi::SQLITE_IOERR_ACCESS };
    // SAFETY: SQLite passes a writable integer.
    unsafe { *out = c_int::from(present) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    out_size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a C string that outlives the call.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if bytes.len() > out_size as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has `out_size` bytes, at least as many as are copied, and does not overlap the argument.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

/// SQLite seeds its own generator from the default VFS; here only names of temporary files would come from it, so
/// a counter does and keeps the simulation deterministic.
unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, amount: c_int, out: *mut c_char) -> c_int {
    let seed = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    // SAFETY: `out` has `amount` writable bytes.
    let out = unsafe {
        ptr::write_bytes(out, 0, amount as usize);
        std::slice::from_raw_parts_mut(out.cast::<u8>(), amount as usize)
    };
    for (to, from) in out.iter_mut().zip(seed.iter().cycle()) {
        *to = *from;
    }
    amount
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::sleep(std::time::Duration::from_micros(microseconds.max(0) as u64));
    microseconds
}

/// The Julian day number of the Unix epoch in milliseconds: no statement of ours asks for the time.
const EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes a writable number.
    unsafe { *out = EPOCH_JULIAN_MS as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(_vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes a writable integer.
    unsafe { *out = EPOCH_JULIAN_MS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_vfs: *mut ffi::sqlite3_vfs, _size: c_int, _out: *mut c_char) -> c_int {
    0
}
