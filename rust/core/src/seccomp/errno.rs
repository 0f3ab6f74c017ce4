//! Names of errors, as profiles of the containers project spell them in `errno` and `defaultErrno`.

/// asm-generic/errno-base.h and errno.h: the name of error n is the n-th word; `-` where there is none. x86 and ARM use these.
const NAMES: &str = "
    - EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG
    ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL
    ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP
    EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS
    ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT
    EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN
    ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM
    EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE
    ERFKILL EHWPOISON";

/// The number of an error.
pub fn number(name: &str) -> Option<u32> {
    let name = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        "-" => return None,
        name => name,
    };
    NAMES.split_whitespace().zip(0..).find(|(word, _)| *word == name).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn test_number_of_known_names_is_the_kernels() {
        let known = [
            ("EPERM", libc::EPERM),
            ("ENOSYS", libc::ENOSYS),
            ("ENOMSG", libc::ENOMSG),
            ("EBFONT", libc::EBFONT),
            ("EILSEQ", libc::EILSEQ),
            ("EADDRINUSE", libc::EADDRINUSE),
            ("ETIMEDOUT", libc::ETIMEDOUT),
            ("EHWPOISON", libc::EHWPOISON),
            ("EWOULDBLOCK", libc::EWOULDBLOCK),
            ("ENOTSUP", libc::ENOTSUP),
        ];
        for (name, value) in known {
            assert_eq!(number(name), u32::try_from(value).ok(), "{name}");
        }
        assert_eq!(number("-"), None);
        assert_eq!(number("EFROG"), None);
    }
}
