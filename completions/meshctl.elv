
set edit:completion:arg-completer[meshctl] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) MESHCTL_COMPLETE="elvish" meshctl -- $@words) | to-lines
}

