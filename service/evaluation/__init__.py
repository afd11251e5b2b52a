"""Ask every question of a file and score the answers: `citedesk eval`."""
