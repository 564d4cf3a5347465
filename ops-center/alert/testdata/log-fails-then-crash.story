# What the log had not taken when the program died is found again in the journal.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
log fails
00:00 a noise=85
> error
crash
> loud a unacknowledged
= loud a unacknowledged
