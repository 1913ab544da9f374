complete --keep-order --exclusive --command meshctl --arguments "(MESHCTL_COMPLETE=fish meshctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
