//! Converts file types and errors between WASI 0.2 and WASI 0.3.

use wasmtime_wasi::{
    p2::{FsError, bindings::filesystem::types as p2},
    p3::{
        bindings::{
            clocks::system_clock::Instant,
            filesystem::types::{DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, NewTimestamp, PathFlags},
        },
        filesystem::{FilesystemError, FilesystemResult},
    },
};

/// Each descriptor flag, in WASI 0.2 and in WASI 0.3.
pub(super) const DESCRIPTOR_FLAGS: [(p2::DescriptorFlags, DescriptorFlags); 6] = [
    (p2::DescriptorFlags::READ, DescriptorFlags::READ),
    (p2::DescriptorFlags::WRITE, DescriptorFlags::WRITE),
    (
        p2::DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::FILE_INTEGRITY_SYNC,
    ),
    (
        p2::DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
    ),
    (
        p2::DescriptorFlags::REQUESTED_WRITE_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ),
    (p2::DescriptorFlags::MUTATE_DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY),
];

pub(super) fn path_flags(flags: PathFlags) -> p2::PathFlags {
    match flags.contains(PathFlags::SYMLINK_FOLLOW) {
        true => p2::PathFlags::SYMLINK_FOLLOW,
        false => p2::PathFlags::empty(),
    }
}

/// Converts a time to set.
///
/// # Errors
/// It is before 1970, which WASI 0.2 cannot represent.
pub(super) fn time_of(time: NewTimestamp) -> FilesystemResult<p2::NewTimestamp> {
    Ok(match time {
        NewTimestamp::NoChange => p2::NewTimestamp::NoChange,
        NewTimestamp::Now => p2::NewTimestamp::Now,
        NewTimestamp::Timestamp(Instant { seconds, nanoseconds }) => p2::NewTimestamp::Timestamp(p2::Datetime {
            seconds: seconds.try_into().map_err(|_| ErrorCode::Overflow)?,
            nanoseconds,
        }),
    })
}

pub(super) fn stat_of(stat: p2::DescriptorStat) -> DescriptorStat {
    let instant = |time: Option<p2::Datetime>| {
        time.map(|time| Instant {
            seconds: time.seconds.try_into().unwrap_or(i64::MAX),
            nanoseconds: time.nanoseconds,
        })
    };
    DescriptorStat {
        type_: type_of(stat.type_),
        link_count: stat.link_count,
        size: stat.size,
        data_access_timestamp: instant(stat.data_access_timestamp),
        data_modification_timestamp: instant(stat.data_modification_timestamp),
        status_change_timestamp: instant(stat.status_change_timestamp),
    }
}

pub(super) fn type_of(kind: p2::DescriptorType) -> DescriptorType {
    match kind {
        p2::DescriptorType::Unknown => DescriptorType::Other(None),
        p2::DescriptorType::BlockDevice => DescriptorType::BlockDevice,
        p2::DescriptorType::CharacterDevice => DescriptorType::CharacterDevice,
        p2::DescriptorType::Directory => DescriptorType::Directory,
        p2::DescriptorType::Fifo => DescriptorType::Fifo,
        p2::DescriptorType::SymbolicLink => DescriptorType::SymbolicLink,
        p2::DescriptorType::RegularFile => DescriptorType::RegularFile,
        p2::DescriptorType::Socket => DescriptorType::Socket,
    }
}

pub(super) fn error(error: FsError) -> FilesystemError {
    match error.downcast() {
        Ok(old) => code(old).into(),
        Err(trap) => FilesystemError::trap(trap),
    }
}

/// The error of WASI 0.3 with the same meaning.
pub(super) fn code(old: p2::ErrorCode) -> ErrorCode {
    macro_rules! same {
        ($($name:ident)*) => {
            match old {
                $(p2::ErrorCode::$name => ErrorCode::$name,)*
                p2::ErrorCode::WouldBlock => ErrorCode::Other(Some("would block".to_owned())),
            }
        };
    }
    same!(Access Already BadDescriptor Busy Deadlock Quota Exist FileTooLarge IllegalByteSequence InProgress Interrupted
        Invalid Io IsDirectory Loop TooManyLinks MessageSize NameTooLong NoDevice NoEntry NoLock InsufficientMemory
        InsufficientSpace NotDirectory NotEmpty NotRecoverable Unsupported NoTty NoSuchDevice Overflow NotPermitted Pipe
        ReadOnly InvalidSeek TextFileBusy CrossDevice)
}
