"""`completion`: the script a shell reads. What it offers is asked of `pyctr __complete` each time."""

from __future__ import annotations

import sys

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

#: readline splits words at colons and equals signs too, so what stands before the last of them is taken off again.
_BASH = r"""# bash completion of pyctr: source <(pyctr completion bash)
_pyctr()
{
    local line=${COMP_LINE:0:COMP_POINT} words current prefix answer directive word
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]}-1]}
    COMPREPLY=()
    answer=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null) || return
    directive=${answer##*$'\n'}
    prefix=""
    [[ $current == *[:=]* ]] && prefix=${current%"${current##*[:=]}"}
    while IFS= read -r word; do
        word=${word%%$'\t'*}
        [[ -n $word && $word != :* ]] && COMPREPLY+=("${word#"$prefix"}")
    done <<< "$answer"
    case $directive in
        :files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${current#"$prefix"}") ;;
        :dirs) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "${current#"$prefix"}") ;;
        :nospace) compopt -o nospace ;;
    esac
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
}
complete -F _pyctr pyctr
"""
_ZSH = r"""#compdef pyctr
# zsh completion of pyctr: pyctr completion zsh > "${fpath[1]}/_pyctr"
_pyctr()
{
    local -a answer plain open
    local directive line word
    answer=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    directive=${answer[-1]}
    for line in "${(@)answer[1,-2]}"; do
        word=${line%%$'\t'*}
        word=${word//:/\\:}
        [[ $line == *$'\t'* ]] && word+=":${line#*$'\t'}"
        case ${line%%$'\t'*} in
            *:|*=) open+=("$word") ;;
            *) plain+=("$word") ;;
        esac
    done
    (( ${#plain} )) && _describe -t values pyctr plain
    (( ${#open} )) && _describe -t values pyctr open -S ''
    case $directive in
        :files) _files ;;
        :dirs) _files -/ ;;
    esac
    return 0
}
if [[ ${funcstack[1]} == _pyctr ]]; then _pyctr; else compdef _pyctr pyctr; fi
"""
_FISH = r"""# fish completion of pyctr: pyctr completion fish > ~/.config/fish/completions/pyctr.fish
function __pyctr_answer
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
function __pyctr_words
    __pyctr_answer | string match -v -r '^:(files|dirs|nospace)?$'
end
function __pyctr_wants
    test (__pyctr_answer | tail -n 1) = ":$argv[1]"
end
complete -c pyctr -f
complete -c pyctr -n '__pyctr_wants files' -F
complete -c pyctr -n '__pyctr_wants dirs' -a '(__fish_complete_directories (commandline -ct))'
complete -c pyctr -a '(__pyctr_words)'
"""
SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


def completion(_engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Print the script of a shell."""
    if arguments[0] not in SCRIPTS:
        raise InvalidArgument(f"no completion for {arguments[0]}: there is one for {', '.join(sorted(SCRIPTS))}")
    sys.stdout.write(SCRIPTS[arguments[0]])
    return 0
