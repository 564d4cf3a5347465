# Who clicks twice has acknowledged once; priority 1 wants a word.
device a noise
rules
  - id: loud
    priority: 1
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 ack loud a by Lan blind
> refused note_missing
00:11 ack loud a by Lan
> loud a acknowledged
00:12 ack loud a by Lan
00:13 ack loud a by Minh
> conflict Lan
