# Vừa ngập vừa mất điện trong một phường là việc lớn hơn hai việc cộng lại.
# Water and no power in one ward together are a third alarm.
rules
  - id: ngap
    priority: 3
    when: {threshold: {quantity: water_depth, above: 0.25}}
  - id: mat-dien
    priority: 3
    when: {threshold: {quantity: voltage, below: 115, clear: 180}}
  - id: ngap-va-mat-dien
    priority: 1
    when: {composite: {all: [ngap, mat-dien], layer: wards}}
end
wards
device wl-1 flooded-road
device mba transformer at 106.14,20.43
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" priority 1
07:00 wl-1 water_depth=0.30
= ngap wl-1 unacknowledged
07:01 mba voltage=0
-> chihuy raised ngap-va-mat-dien zone:wards/W-1
= mat-dien mba unacknowledged, ngap wl-1 unacknowledged, ngap-va-mat-dien zone:wards/W-1 unacknowledged
