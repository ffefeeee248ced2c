//! A library that is loaded before the program. It notes the calls that sync, rename and delete in the file `CALLS`, and
//! lets the sync of a path that ends with `FAIL` fail.

use std::env;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::mem::transmute;
use std::path::PathBuf;
use std::ptr;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

const EIO: c_int = 5;

/// The function of that name that the program would have called.
///
/// # Safety
///
/// The system's library must have one.
unsafe fn next(name: &CStr) -> *mut c_void {
    let after_this: *mut c_void = ptr::without_provenance_mut(usize::MAX);
    unsafe { dlsym(after_this, name.as_ptr()) }
}

fn note(line: &str) {
    let Ok(path) = env::var("CALLS") else { return };
    let file = OpenOptions::new().append(true).create(true).open(path);
    // one write, so that lines of several threads stay whole
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.expect("the list of calls can be written");
}

fn open_path(descriptor: c_int) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{descriptor}"))
}

/// Notes a sync, and makes it, unless it shall fail.
///
/// # Safety
///
/// The name must be that of a function that syncs an open file.
unsafe fn sync(name: &CStr, descriptor: c_int) -> c_int {
    let path = open_path(descriptor).unwrap_or_default();
    note(&format!("sync {}", path.display()));
    if env::var("FAIL").is_ok_and(|end| path.to_string_lossy().ends_with(&end)) {
        unsafe { *__errno_location() = EIO };
        return -1;
    }
    type Sync = unsafe extern "C" fn(c_int) -> c_int;
    unsafe { transmute::<*mut c_void, Sync>(next(name))(descriptor) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    unsafe { sync(c"fsync", descriptor) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    unsafe { sync(c"fdatasync", descriptor) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let text = |path| unsafe { CStr::from_ptr(path) }.to_string_lossy();
    note(&format!("rename {} {}", text(from), text(to)));
    type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
    unsafe { transmute::<*mut c_void, Rename>(next(c"rename"))(from, to) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(folder: c_int, name: *const c_char, flags: c_int) -> c_int {
    let path = open_path(folder).unwrap_or_default();
    let name_text = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    note(&format!("delete {}", path.join(&*name_text).display()));
    type Unlink = unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int;
    unsafe { transmute::<*mut c_void, Unlink>(next(c"unlinkat"))(folder, name, flags) }
}
