# Three levels of one river. The most urgent stands first.
device r river-level simulated
rules
  - id: bd1
    priority: 3
    when: {threshold: {quantity: water_level, above: 3.2, clear: 3.1}}
  - id: bd2
    priority: 2
    when: {threshold: {quantity: water_level, above: 3.8, clear: 3.7}}
  - id: bd3
    priority: 1
    when: {threshold: {quantity: water_level, above: 4.3, clear: 4.2}}
end
00:00 r water_level=3.3
> bd1 r unacknowledged
00:10 r water_level=4.4
> bd2 r unacknowledged
> bd3 r unacknowledged
= bd3 r unacknowledged, bd2 r unacknowledged, bd1 r unacknowledged
00:20 r water_level=4.1
> bd3 r returned
