# When a rule it is made of goes, what it was part of is over.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: street
    when: {composite: {any: [loud]}}
end
00:00 a noise=90
> loud a unacknowledged
> street city:all unacknowledged
01:00 apply
  - id: loud
    disabled: true
    when: {threshold: {quantity: noise, above: 80}}
  - id: street
    when: {composite: {any: [loud]}}
end
> loud a returned
> street city:all returned
